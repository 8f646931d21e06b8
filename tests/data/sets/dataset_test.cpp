#include "data/sets/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/open_dataset.h"
#include "tests/data/raw_records.h"

namespace diffprob::data {
namespace {

using test::error_of;
using test::image;
using test::RawRecords;
using test::TemporaryFolder;
using ::testing::HasSubstr;

class SubsetTest : public ::testing::Test {
 protected:
  SubsetTest() {
    RawRecords raw;  // labels 0 0 1 2 2
    const float labels[] = {0, 0, 1, 2, 2};
    for (int i = 0; i < 5; ++i)
      raw.add_image(static_cast<std::uint64_t>(i), labels[i], "image " + std::to_string(i));
    raw.write(folder_ / "train");
    parent_ = open_dataset(folder_.path());
  }

  TemporaryFolder folder_;
  std::shared_ptr<const Dataset> parent_;
};

TEST_F(SubsetTest, KeepsOrderAndMapsLabels) {
  const Subset subset(parent_, {4, 0, 3}, {1, -1, 0});
  ASSERT_EQ(subset.size(), 3);
  EXPECT_EQ(subset.num_classes(), 2);
  EXPECT_EQ(subset.label(0), 0);
  EXPECT_EQ(subset.label(1), 1);
  EXPECT_EQ(subset.label(2), 0);
  EXPECT_EQ(image(subset, 0), "image 4");
  EXPECT_EQ(image(subset, 1), "image 0");
  EXPECT_EQ(subset.parent_index(2), 3);
  EXPECT_EQ(subset.describe(0), parent_->describe(4));
  EXPECT_THROW(static_cast<void>(subset.label(3)), DataError);
}

TEST_F(SubsetTest, KnowsTheBytesOfItsImages) {
  const Subset subset(parent_, {4, 0}, {});

  EXPECT_EQ(subset.encoded_bytes(0), std::int64_t{7});  // "image 4"
  EXPECT_THROW(static_cast<void>(subset.encoded_bytes(2)), DataError);
}

TEST_F(SubsetTest, WithoutMapLabelsStay) {
  const Subset subset(parent_, {2}, {});
  EXPECT_EQ(subset.num_classes(), 3);
  EXPECT_EQ(subset.label(0), 1);
}

TEST_F(SubsetTest, ErrorsNameTheSample) {
  EXPECT_THAT(error_of([&] { Subset(parent_, {0, 5}, {}); }), HasSubstr("index 5"));
  EXPECT_THAT(error_of([&] { Subset(parent_, {-1}, {}); }), HasSubstr("index -1"));
  EXPECT_THAT(error_of([&] {
                Subset(parent_, {1, 2, 1}, {});
              }),
              HasSubstr("index 1 appears twice"));
  EXPECT_THAT(error_of([&] { Subset(parent_, {0, 2}, {0, -1, 1}); }), HasSubstr("record 2"));
  EXPECT_THAT(error_of([&] { Subset(parent_, {0}, {0, 1}); }), HasSubstr("label map of 2"));
  EXPECT_THAT(error_of([&] { Subset(parent_, {0}, {0, 1, 3}); }), HasSubstr("maps to 3"));
  EXPECT_THAT(error_of([&] { Subset(parent_, {0}, {0, 1, -2}); }), HasSubstr("maps to -2"));
}

TEST_F(SubsetTest, FingerprintFollowsIndicesAndMap) {
  const auto of = [&](std::vector<std::int64_t> indices, std::vector<std::int64_t> map) {
    return Subset(parent_, std::move(indices), std::move(map)).fingerprint();
  };
  EXPECT_EQ(of({0, 1}, {}), of({0, 1}, {}));
  EXPECT_NE(of({0, 1}, {}), of({1, 0}, {}));
  EXPECT_NE(of({0, 1}, {}), of({0, 1}, {0, -1, -1}));
  EXPECT_NE(of({0, 1}, {}), parent_->fingerprint());
}

TEST(OpenDataset, RecognisesWhatItIsGiven) {
  const TemporaryFolder folder;
  RawRecords raw;
  raw.add_image(0, 0, "record");
  raw.write(folder / "some");
  std::filesystem::create_directories(folder / "classes/a");
  test::write_file(folder / "classes/a/x.jpg", "file");
  test::write_file(folder / "list.lst", "0\t0\tclasses/a/x.jpg\n");
  EXPECT_EQ(image(*open_dataset(folder / "some.rec"), 0), "record");
  EXPECT_EQ(image(*open_dataset(folder / "classes"), 0), "file");
  EXPECT_EQ(image(*open_dataset(folder / "list.lst"), 0), "file");
  EXPECT_THAT(error_of([&] { static_cast<void>(open_dataset(folder / "absent")); }),
              HasSubstr("does not exist"));
  EXPECT_THAT(error_of([&] { static_cast<void>(open_dataset(folder / "some.idx")); }),
              HasSubstr(".rec"));
}

}  // namespace
}  // namespace diffprob::data

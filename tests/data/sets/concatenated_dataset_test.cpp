#include "data/sets/concatenated_dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/open_dataset.h"
#include "tests/data/raw_records.h"

namespace diffprob::data {
namespace {

using test::error_of;
using test::image;
using test::RawRecords;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ConcatenatedTest : public ::testing::Test {
 protected:
  std::string make(const std::string& name, const std::vector<float>& labels) {
    const auto folder = folder_ / name;
    std::filesystem::create_directories(folder);
    RawRecords raw;
    for (std::size_t i = 0; i < labels.size(); ++i)
      raw.add_image(i, labels[i], name + " " + std::to_string(i));
    raw.write(folder + "/train");
    return folder;
  }

  test::TemporaryFolder folder_;
};

TEST_F(ConcatenatedTest, SamplesFollowEachOtherAndClassesAreDisjoint) {
  const auto one = make("one", {0, 0, 1});
  const auto two = make("two", {2, 0});  // three classes
  const auto three = make("three", {0, 1});
  const auto set = open_datasets({one, two, three});
  ASSERT_EQ(set->size(), 7);
  EXPECT_EQ(set->num_classes(), 2 + 3 + 2);
  const std::vector<std::int64_t> labels{0, 0, 1, 4, 2, 5, 6};
  const std::vector<std::string> images{"one 0", "one 1",   "one 2",  "two 0",
                                        "two 1", "three 0", "three 1"};
  for (std::int64_t i = 0; i < 7; ++i) {
    EXPECT_EQ(set->label(i), labels[static_cast<std::size_t>(i)]) << i;
    EXPECT_EQ(image(*set, i), images[static_cast<std::size_t>(i)]);
  }
  EXPECT_THAT(set->describe(4), StartsWith(two + ": train.rec record 1"));
  EXPECT_THAT(error_of([&] { static_cast<void>(set->label(7)); }), HasSubstr("sample 7 of 7"));
  EXPECT_THAT(error_of([&] { static_cast<void>(set->label(-1)); }), HasSubstr("sample -1"));
}

TEST_F(ConcatenatedTest, FingerprintFollowsPartsAndOrderNotTheirPlace) {
  const auto one = make("one", {0, 1});
  const auto two = make("two", {0, 1, 1});
  const auto both = open_datasets({one, two})->fingerprint();
  EXPECT_NE(both, open_datasets({two, one})->fingerprint());
  EXPECT_NE(both, open_dataset(one)->fingerprint());
  std::filesystem::rename(one, folder_ / "moved");
  EXPECT_EQ(open_datasets({folder_ / "moved", two})->fingerprint(), both);
}

TEST_F(ConcatenatedTest, OnePathIsThatSet) {
  const auto one = make("one", {0, 1});
  EXPECT_EQ(open_datasets({one})->fingerprint(), open_dataset(one)->fingerprint());
  EXPECT_EQ(open_datasets({one})->describe(0), open_dataset(one)->describe(0));
}

TEST_F(ConcatenatedTest, ErrorsSayWhatIsWrong) {
  const auto one = make("one", {0, 1});
  const auto huge = make("huge", {2147483520});
  EXPECT_THAT(error_of([&] { static_cast<void>(open_datasets({})); }), HasSubstr("no data set"));
  EXPECT_THAT(error_of([&] {
                static_cast<void>(open_datasets({one, folder_ / "./one"}));
              }),
              HasSubstr("given twice"));
  EXPECT_THAT(error_of([&] {
                static_cast<void>(open_datasets({one, folder_ / "absent"}));
              }),
              HasSubstr("absent: does not exist"));
  EXPECT_THAT(error_of([&] {
                static_cast<void>(open_datasets({huge, make("other", std::vector<float>{200})}));
              }),
              HasSubstr("2147483648"));
}

TEST_F(ConcatenatedTest, SubsetsOfItMapLabelsAsOfAnyOther) {
  const auto set = open_datasets({make("one", {0, 1}), make("two", {0, 1})});
  const Subset subset(set, {3, 0}, {0, -1, -1, 1});
  EXPECT_EQ(subset.label(0), 1);
  EXPECT_EQ(subset.label(1), 0);
  EXPECT_EQ(image(subset, 0), "two 1");
}

}  // namespace
}  // namespace diffprob::data

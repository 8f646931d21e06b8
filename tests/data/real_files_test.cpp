#include <algorithm>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "data/open_dataset.h"
#include "data/records/record_io.h"
#include "data/sets/dataset.h"
#include "data/sets/verification_set.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using test::TemporaryFolder;

bool is_jpeg(const std::vector<std::byte>& bytes) {
  return bytes.size() > 1000 && bytes[0] == std::byte{0xFF} && bytes[1] == std::byte{0xD8} &&
         bytes[bytes.size() - 2] == std::byte{0xFF} && bytes.back() == std::byte{0xD9};
}

void expect_jpegs(const Dataset& set) {
  std::vector<std::byte> bytes;
  for (std::int64_t i = 0; i < set.size(); ++i) {
    set.read(i, bytes);
    ASSERT_TRUE(is_jpeg(bytes)) << set.describe(i);
  }
}

class RealFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    if (test::test_data().empty())
      GTEST_SKIP() << "DIFFPROB_TEST_DATA is not set (folder with data/lfw and data/formats)";
    folder_ = test::test_data() + "/data/";
  }
  std::string folder_;
};

TEST_F(RealFiles, LfwInInsightFaceLayout) {
  const auto set = open_dataset(folder_ + "lfw");
  ASSERT_EQ(set->size(), 3602);
  EXPECT_EQ(set->num_classes(), 151);
  std::map<std::int64_t, std::int64_t> counts;
  for (std::int64_t i = 0; i < set->size(); ++i) {
    ++counts[set->label(i)];
    ASSERT_GE(set->label(i), i == 0 ? 0 : set->label(i - 1));
  }
  EXPECT_EQ(counts.size(), 151u);
  EXPECT_EQ(std::ranges::max_element(counts, {}, [](const auto& c) { return c.second; })->second,
            530);
  EXPECT_EQ(std::ranges::min_element(counts, {}, [](const auto& c) { return c.second; })->second,
            8);
  expect_jpegs(*set);
}

TEST_F(RealFiles, ScanGivesTheSameAsTheIndex) {
  const TemporaryFolder copy;
  std::filesystem::copy_file(folder_ + "lfw/train.rec", copy / "train.rec");
  const auto scanned = open_record_file(copy / "train.rec");
  EXPECT_EQ(scanned->size(), 3602);
  EXPECT_EQ(scanned->fingerprint(), open_dataset(folder_ + "lfw")->fingerprint());
}

TEST_F(RealFiles, WriterRepeatsTheSet) {
  const auto set = open_dataset(folder_ + "lfw");
  const TemporaryFolder copy;
  RecordWriter writer(copy.path(), 112);
  std::vector<std::byte> bytes;
  for (std::int64_t i = 0; i < set->size(); ++i) {
    set->read(i, bytes);
    writer.add(set->label(i), bytes);
  }
  writer.finish();
  const auto again = open_dataset(copy.path());
  ASSERT_EQ(again->size(), set->size());
  EXPECT_EQ(again->num_classes(), set->num_classes());
  std::vector<std::byte> other;
  for (std::int64_t i = 0; i < set->size(); ++i) {
    set->read(i, bytes);
    again->read(i, other);
    ASSERT_EQ(bytes, other);
    ASSERT_EQ(set->label(i), again->label(i));
  }
}

TEST_F(RealFiles, Im2recFile) {
  const auto set = open_dataset(folder_ + "formats");
  ASSERT_EQ(set->size(), 8);
  expect_jpegs(*set);
  EXPECT_EQ(set->describe(0), "train.rec record 0 (offset 0)");
  EXPECT_EQ(set->describe(1).substr(0, 18), "train.rec record 1");
}

TEST_F(RealFiles, LfwDevPairs) {
  const auto set = read_verification_bin(folder_ + "lfw/lfw_dev.bin");
  EXPECT_EQ(set.name, "lfw_dev");
  ASSERT_EQ(set.pairs(), 999);
  ASSERT_EQ(set.images.size(), 1998u);
  EXPECT_TRUE(std::ranges::all_of(set.images, is_jpeg));
  const auto genuine = std::ranges::count(set.same, true);
  EXPECT_GT(genuine, 450);
  EXPECT_LT(genuine, 550);
}

TEST_F(RealFiles, SmallLfwOfNumpyArrays) {
  const auto set = read_verification_bin(folder_ + "formats/small_lfw.bin");
  ASSERT_EQ(set.pairs(), 10);
  EXPECT_EQ(std::ranges::count(set.same, true), 10);
  EXPECT_TRUE(std::ranges::all_of(set.images, is_jpeg));
  const TemporaryFolder copy;
  write_verification_bin(copy / "small_lfw.bin", set);
  EXPECT_EQ(read_verification_bin(copy / "small_lfw.bin").images, set.images);
}

TEST_F(RealFiles, TruncatedFilesAreErrors) {
  const TemporaryFolder copy;
  const auto bin = test::read_file(folder_ + "formats/small_lfw.bin");
  const auto rec = test::read_file(folder_ + "formats/train.rec");
  std::filesystem::copy_file(folder_ + "formats/train.idx", copy / "train.idx");
  for (std::size_t length = 0; length < rec.size(); length += 61) {
    test::write_file(copy / "train.rec", rec.substr(0, length));
    EXPECT_THROW(static_cast<void>(open_record_file(copy / "train.rec")), DataError) << length;
  }
  for (std::size_t length = 0; length < bin.size(); length += 61) {
    test::write_file(copy / "a.bin", bin.substr(0, length));
    EXPECT_THROW(static_cast<void>(read_verification_bin(copy / "a.bin")), DataError) << length;
  }
}

}  // namespace
}  // namespace diffprob::data

#include "data/records/saved_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "data/records/record_io.h"
#include "tests/data/raw_records.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

namespace fs = std::filesystem;
using test::read_file;
using test::write_file;

constexpr std::int64_t kImages = 400;
constexpr std::int64_t kAlways = 0;         // index records of any size
constexpr std::int64_t kNever = 1LL << 40;  // none

std::int64_t label_of(std::int64_t image) {
  return image * image % 37;
}

/// Records whose files were last changed an hour ago.
class SavedIndexTest : public ::testing::Test {
 protected:
  void write(std::uint64_t step_of_keys = 1, std::int64_t images = kImages) {
    test::RawRecords records;
    for (std::int64_t i = 0; i < images; ++i)
      records.add_image(1 + static_cast<std::uint64_t>(i) * step_of_keys,
                        static_cast<float>(label_of(i)), "image " + std::to_string(i));
    offsets_ = records.entries;
    records.write(folder_ / "train");
    age();
  }

  void age() const {
    for (const char* name : {"train.rec", "train.idx"})
      if (fs::exists(folder_ / name)) set_time(folder_ / name, std::chrono::hours(1));
  }
  static void set_time(const std::string& path, std::chrono::seconds before) {
    fs::last_write_time(path, fs::file_time_type::clock::now() - before);
  }

  /// Writes another label into the header of one record. `time`: as if the file had not changed.
  void change_label(std::int64_t image, float label, bool keep_time) const {
    const auto time = fs::last_write_time(rec_);
    std::string bytes = read_file(rec_);
    const std::size_t at = offsets_[static_cast<std::size_t>(image)].second + 8 + 4;
    bytes.replace(at, 4, test::number(label));
    write_file(rec_, bytes);
    if (keep_time)
      fs::last_write_time(rec_, time);
    else
      set_time(rec_, std::chrono::minutes(1));
  }

  /// As if there were no saved index.
  [[nodiscard]] std::shared_ptr<const Dataset> scanned() const {
    return open_record_file(rec_, kNever);
  }
  [[nodiscard]] std::shared_ptr<const Dataset> opened() const {
    return open_record_file(rec_, kAlways);
  }
  void expect_as_scanned() const {
    const auto set = opened(), wanted = scanned();
    ASSERT_EQ(set->size(), wanted->size());
    EXPECT_EQ(set->num_classes(), wanted->num_classes());
    EXPECT_EQ(set->fingerprint(), wanted->fingerprint());
    for (std::int64_t i = 0; i < set->size(); ++i) {
      ASSERT_EQ(set->label(i), wanted->label(i)) << i;
      ASSERT_EQ(test::image(*set, i), test::image(*wanted, i)) << i;
      ASSERT_EQ(set->describe(i), wanted->describe(i)) << i;
    }
  }

  test::TemporaryFolder folder_;
  const std::string rec_ = folder_ / "train.rec";
  const std::string index_ = folder_ / "train.rec_index";
  std::vector<std::pair<std::uint64_t, std::size_t>> offsets_;
};

TEST_F(SavedIndexTest, IsReadInPlaceOfTheRecords) {
  write();
  expect_as_scanned();
  ASSERT_TRUE(fs::exists(index_));
  expect_as_scanned();
  // Labels that change behind its back show what was read: of most records the old ones.
  std::vector<std::int64_t> noticed;
  for (std::int64_t image : {0L, 100L, 101L, 102L, 103L, kImages - 1}) {
    const std::string rec = read_file(rec_), index = read_file(index_);
    change_label(image, 36, true);
    if (opened()->label(image) == 36) noticed.push_back(image);
    const auto time = fs::last_write_time(rec_);
    write_file(rec_, rec);
    fs::last_write_time(rec_, time);
    write_file(index_, index);
  }
  EXPECT_TRUE(std::ranges::count(noticed, 0) == 1 && std::ranges::count(noticed, kImages - 1) == 1)
      << "the first and the last record are always looked at";
  EXPECT_LT(noticed.size(), 5U) << "the index is not used";
}

TEST_F(SavedIndexTest, ReadingOfAllHeadsSaysHowFarItIs) {
  constexpr std::int64_t kMany = 1300;
  write(1, kMany);
  const auto size = static_cast<std::int64_t>(fs::file_size(rec_));
  using Call = std::pair<std::int64_t, std::int64_t>;
  std::vector<Call> calls, passes;
  const auto record = [&](const std::string& path, std::int64_t done, std::int64_t total) {
    EXPECT_EQ(path, rec_);
    calls.emplace_back(done, total);
  };
  const auto pass = [&](std::int64_t before, std::int64_t total) {
    for (const std::size_t i : {0, 512, 1024})
      passes.emplace_back(before + static_cast<std::int64_t>(offsets_[i].second), total);
  };
  static_cast<void>(open_record_file(rec_, kAlways, record));
  pass(0, size);
  EXPECT_EQ(calls, passes);

  calls.clear();
  static_cast<void>(open_record_file(rec_, kAlways, record));
  EXPECT_EQ(calls, std::vector<Call>()) << "the saved index is read instead";

  fs::remove(folder_ / "train.idx");
  passes.clear();
  static_cast<void>(open_record_file(rec_, kNever, record));
  pass(0, 2 * size);
  pass(size, 2 * size);
  EXPECT_EQ(calls, passes);
}

TEST_F(SavedIndexTest, OfRecordsWhoseKeysHaveGaps) {
  write(3);
  expect_as_scanned();
  ASSERT_TRUE(fs::exists(index_));
  expect_as_scanned();
}

TEST_F(SavedIndexTest, WithoutAnIdx) {
  write();
  fs::remove(folder_ / "train.idx");
  expect_as_scanned();
  ASSERT_TRUE(fs::exists(index_));
  expect_as_scanned();
}

TEST_F(SavedIndexTest, IsNotUsedOnceAFileHasChanged) {
  write();
  static_cast<void>(opened());
  change_label(200, 36, false);
  EXPECT_EQ(opened()->label(200), 36);
  expect_as_scanned();

  write_file(folder_ / "property", "50,112,112\n");
  EXPECT_EQ(opened()->num_classes(), 50);
  expect_as_scanned();

  const std::string before = read_file(index_);
  fs::remove(folder_ / "train.idx");
  expect_as_scanned();
  EXPECT_NE(read_file(index_), before) << "made anew";
}

TEST_F(SavedIndexTest, ThatIsDamagedIsMadeAnew) {
  write();
  static_cast<void>(opened());
  const std::string whole = read_file(index_);
  for (std::size_t at = 0; at < whole.size(); at += at < 200 ? 1 : 97) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    write_file(index_, damaged);
    ASSERT_EQ(opened()->fingerprint(), scanned()->fingerprint()) << "byte " << at;
    ASSERT_EQ(read_file(index_), whole) << "byte " << at;
  }
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{7}, std::size_t{143},
                                  std::size_t{144}, std::size_t{500}, whole.size() - 1}) {
    write_file(index_, whole.substr(0, bytes));
    ASSERT_EQ(opened()->fingerprint(), scanned()->fingerprint()) << bytes << " bytes";
    ASSERT_EQ(read_file(index_), whole) << bytes << " bytes";
  }
  write_file(index_, whole + "more");
  expect_as_scanned();
}

TEST_F(SavedIndexTest, IsNotSavedForFilesThatMayStillChange) {
  write();
  fs::last_write_time(rec_, fs::file_time_type::clock::now());
  static_cast<void>(opened());
  EXPECT_FALSE(fs::exists(index_));
}

TEST_F(SavedIndexTest, WhereItCannotBeWrittenIsNoError) {
  write();
  fs::create_directory(index_);
  expect_as_scanned();
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_TRUE(entry.path().filename().string().starts_with("train.")) << "left: " << entry.path();
}

TEST_F(SavedIndexTest, OnlyOfLargeFiles) {
  write();
  static_cast<void>(open_record_file(rec_));
  EXPECT_FALSE(fs::exists(index_));
  EXPECT_FALSE(lacks_index(rec_));

  fs::resize_file(rec_, kLeastIndexedBytes);  // takes no room on the disk
  EXPECT_TRUE(lacks_index(rec_));
  EXPECT_TRUE(lacks_index(folder_.path()));
  write_file(index_, "");
  EXPECT_FALSE(lacks_index(rec_));
}

}  // namespace
}  // namespace diffprob::data

#include "data/records/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using ::testing::HasSubstr;

void expect_kept(const std::vector<RecordEntry>& entries) {
  const RecordTable table(entries);
  ASSERT_EQ(table.size(), static_cast<std::int64_t>(entries.size()));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const RecordEntry found = table[static_cast<std::int64_t>(i)];
    EXPECT_EQ(found.offset, entries[i].offset) << i;
    EXPECT_EQ(found.key, entries[i].key) << i;
    EXPECT_EQ(found.label, entries[i].label) << i;
  }
}

TEST(RecordTable, GivesBackWhatItGot) {
  const std::int64_t far = (std::int64_t{1} << 42) - 4;
  expect_kept({});
  expect_kept({{0, 1, 7},
               {40, 2, 0},
               {std::int64_t{1} << 34, 3, 2147483647},
               {far, 4, 5}});  // keys in a row
  expect_kept(
      {{far, 0, 7}, {40, 2, 0}, {(std::int64_t{1} << 34) - 4, 4294967295u, 1}});  // with gaps
}

TEST(RecordTable, RefusesOffsetsItCannotHold) {
  const auto error = [](std::int64_t offset) {
    return test::error_of([&] {
      RecordTable(std::vector<RecordEntry>{{0, 1, 0}, {offset, 2, 0}});
    });
  };
  EXPECT_THAT(error(std::int64_t{1} << 42), HasSubstr("record 2 at offset 4398046511104"));
  EXPECT_THAT(error(6), HasSubstr("offset 6"));
  EXPECT_THAT(error(-4), HasSubstr("offset -4"));
}

}  // namespace
}  // namespace diffprob::data

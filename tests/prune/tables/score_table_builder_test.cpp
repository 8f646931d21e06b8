// Score records in any order become a table in which every sample is there exactly once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/tables/score_table.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::int64_t kSamples = 101;

/// Every `step`-th sample from `first` on, backwards.
std::vector<ScoreRecord> records(std::int64_t first, std::int64_t step) {
  std::vector<ScoreRecord> result;
  for (std::int64_t i = first; i < kSamples; i += step) {
    ScoreRecord record;
    record.index = static_cast<std::uint32_t>(i);
    record.nll = static_cast<float>(i) / 8;
    result.insert(result.begin(), record);
  }
  return result;
}

TEST(ScoreTableBuilder, PutsEveryRecordInItsPlace) {
  ScoreTableBuilder table(kSamples);
  for (const std::int64_t part : {2, 0, 1}) table.add(records(part, 3), "part");

  const auto all = table.take();

  ASSERT_EQ(all.size(), static_cast<std::size_t>(kSamples));
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].index, i);
    EXPECT_EQ(all[i].nll, static_cast<float>(i) / 8);
  }
}

TEST(ScoreTableBuilder, HolesDuplicatesAndForeignSamplesAreNamed) {
  ScoreTableBuilder table(kSamples);
  auto some = records(0, 1);
  std::erase_if(some,
                [](const ScoreRecord& record) { return record.index == 42 || record.index == 57; });
  table.add(some, "part a");
  ScoreRecord again;
  again.index = 7;
  ScoreRecord foreign;
  foreign.index = kSamples;

  EXPECT_THAT(message_of<PruneError>([&] { static_cast<void>(table.take()); }),
              HasSubstr("2 of 101 samples were not scored; the first is sample 42"));
  EXPECT_THAT(message_of<PruneError>([&] { table.add(std::vector{again}, "part b"); }),
              AllOf(HasSubstr("sample 7 was scored twice"), HasSubstr("part b")));
  EXPECT_THAT(message_of<PruneError>([&] { table.add(std::vector{foreign}, "part c"); }),
              HasSubstr("part c has sample 101, expected 0 to 100"));
}

TEST(ScoreTableBuilder, NoSamplesAtAllIsAnEmptyTable) {
  EXPECT_TRUE(ScoreTableBuilder(0).take().empty());
}

}  // namespace
}  // namespace diffprob::prune::tests

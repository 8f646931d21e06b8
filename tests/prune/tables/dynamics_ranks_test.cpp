// Training dynamics recorded on any rank, accumulated on the owner of the sample, gathered on rank
// 0: the numbers of one process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/tables/dynamics.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kSamples = 101;

/// All records of an epoch, in an order of its own.
std::vector<EpochRecord> epoch_records(std::uint64_t epoch) {
  Draws draws(epoch);
  std::vector<EpochRecord> records;
  for (std::int64_t k = 0; k < kSamples; ++k) {
    const auto index =
        static_cast<std::uint32_t>((k * 37 + static_cast<std::int64_t>(epoch)) % kSamples);
    records.push_back({index, static_cast<float>(draws.uniform()),
                       static_cast<float>(draws.uniform()),
                       static_cast<std::uint8_t>(draws.below(2))});
  }
  return records;
}

TEST(DynamicsOfRanks, AreThoseOfOneProcess) {
  dist::HostCollectives collectives;
  DynamicsAccumulator own(samples_of_rank(kSamples, collectives.rank(), collectives.world_size()),
                          3);
  DynamicsAccumulator alone({0, kSamples}, 3);
  for (std::uint64_t epoch = 0; epoch < 8; ++epoch) {
    const auto records = epoch_records(epoch);
    std::vector<EpochRecord> seen_here;
    for (std::size_t k = 0; k < records.size(); ++k) {
      if (static_cast<int>(k) % collectives.world_size() == collectives.rank())
        seen_here.push_back(records[k]);
    }
    own.add_epoch(exchange_epoch(seen_here, kSamples, collectives));
    alone.add_epoch(records);
  }

  const auto all = gather_on_root(own.finish(), collectives);

  const auto wanted = alone.finish();
  if (collectives.rank() == 0) {
    EXPECT_EQ(all.mean_probability, wanted.mean_probability);
    EXPECT_EQ(all.uncertainty, wanted.uncertainty);
    EXPECT_EQ(all.aum, wanted.aum);
    EXPECT_EQ(all.forgetting, wanted.forgetting);
    EXPECT_EQ(all.last_probability, wanted.last_probability);
    EXPECT_EQ(all.last_correct, wanted.last_correct);
  } else {
    EXPECT_EQ(all.size(), 0U);
  }
}

TEST(DynamicsOfRanks, AnIndexOutOfRangeIsNamedOnAllRanks) {
  dist::HostCollectives collectives;
  std::vector<EpochRecord> records(1);
  const int last = collectives.world_size() - 1;
  if (collectives.rank() == last) records[0].index = static_cast<std::uint32_t>(kSamples);

  EXPECT_THAT(message_of<PruneError>(
                  [&] { static_cast<void>(exchange_epoch(records, kSamples, collectives)); }),
              HasSubstr("rank " + std::to_string(last) + " recorded sample 101"));
}

TEST(DynamicsOfRanks, EveryNumberOfSamplesIsSplitWithoutHoles) {
  for (const std::int64_t samples : {0, 1, 5, 7, 100, 1000003}) {
    for (const int ranks : {1, 2, 3, 7, 64}) {
      std::int64_t next = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const auto range = samples_of_rank(samples, rank, ranks);
        EXPECT_EQ(range.first, next);
        EXPECT_LE(range.size(), samples / ranks + 1);
        next = range.last;
      }
      EXPECT_EQ(next, samples);
    }
  }
}

}  // namespace
}  // namespace diffprob::prune::tests

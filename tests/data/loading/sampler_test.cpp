#include "data/loading/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <set>

#include "data/error.h"

namespace diffprob::data {
namespace {

using Indices = std::vector<std::int64_t>;

Indices permuted(std::int64_t size, std::uint64_t key) {
  const Permutation permutation(size, key);
  Indices out;
  for (std::int64_t i = 0; i < size; ++i) out.push_back(permutation(i));
  return out;
}

Indices counted(std::int64_t size) {
  Indices all(static_cast<std::size_t>(size));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

template <class MakePlan>
Indices global_batch(const MakePlan& make_plan, std::int64_t batch, int world_size) {
  Indices all;
  Indices part;
  for (int rank = 0; rank < world_size; ++rank) {
    make_plan(rank, world_size).indices(batch, part);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

TEST(Permutation, IsABijectionOfEverySize) {
  for (const std::int64_t size :
       {1,  2,  3,   4,   5,   7,   8,    9,    15,   16,   17,    31,    63,
        64, 65, 100, 255, 256, 257, 1000, 1023, 1025, 4097, 65537, 300000}) {
    for (const std::uint64_t key : {0u, 1u, 77u}) {
      Indices values = permuted(size, key);
      std::ranges::sort(values);
      ASSERT_EQ(values, counted(size)) << size << " key " << key;
    }
  }
}

TEST(Permutation, EverySmallOrderTurnsUpAboutEquallyOften) {
  std::vector<int> seen(6);
  constexpr int kKeys = 60000;
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    const Indices order = permuted(3, key);
    ++seen[static_cast<std::size_t>(order[0] * 2 + (order[1] > order[2] ? 1 : 0))];
  }
  for (const int count : seen) EXPECT_NEAR(count, kKeys / 6, 5 * std::sqrt(kKeys / 6.0));
}

TEST(Permutation, DifferentKeysDiffer) {
  const Indices one = permuted(1000, 1);
  const Indices two = permuted(1000, 2);
  int equal = 0;
  for (std::size_t i = 0; i < one.size(); ++i) equal += one[i] == two[i] ? 1 : 0;
  EXPECT_LT(equal, 10);  // 1 is expected
  EXPECT_EQ(one, permuted(1000, 1));
}

TEST(Permutation, ShufflesWell) {
  constexpr std::int64_t kSize = 20000;
  const Indices order = permuted(kSize, 5);
  double displacement = 0.0;
  double covariance = 0.0;
  std::vector<int> tenths(100);  // where a tenth of the input lands
  for (std::int64_t i = 0; i < kSize; ++i) {
    const auto value = order[static_cast<std::size_t>(i)];
    displacement += static_cast<double>(std::abs(value - i));
    if (i > 0)
      covariance += (static_cast<double>(value) - kSize / 2.0) *
                    (static_cast<double>(order[static_cast<std::size_t>(i - 1)]) - kSize / 2.0);
    ++tenths[static_cast<std::size_t>(i * 10 / kSize * 10 + value * 10 / kSize)];
  }
  EXPECT_NEAR(displacement / kSize, kSize / 3.0, kSize * 0.01);
  EXPECT_NEAR(covariance / kSize / (kSize * kSize / 12.0), 0.0,
              0.03);  // neighbours do not stay neighbours
  for (const int count : tenths) EXPECT_NEAR(count, 200, 75);
}

TEST(Permutation, RefusesAnEmptySet) {
  EXPECT_THROW(Permutation(0, 1), DataError);
}

TEST(RowsOfRank, CoverTheBatchWithoutOverlap) {
  for (const std::int64_t batch : {0, 1, 2, 7, 64, 1000}) {
    for (int world = 1; world <= 9; ++world) {
      std::int64_t next = 0;
      for (int rank = 0; rank < world; ++rank) {
        const RowRange rows = rows_of_rank(batch, rank, world);
        EXPECT_EQ(rows.begin, next);
        EXPECT_LE(rows.end - rows.begin, batch / world + 1);
        next = rows.end;
      }
      EXPECT_EQ(next, batch);
    }
  }
}

TEST(ShuffledPlan, GlobalBatchIsTheSameForAnyNumberOfRanks) {
  const auto make = [](int rank, int world) { return ShuffledPlan(103, 16, 4, 2, rank, world); };
  const ShuffledPlan single = make(0, 1);
  ASSERT_EQ(single.num_batches(), 6);
  Indices all;
  for (std::int64_t batch = 0; batch < single.num_batches(); ++batch) {
    Indices expected;
    single.indices(batch, expected);
    ASSERT_EQ(expected.size(), 16u);
    for (int world = 2; world <= 5; ++world)
      EXPECT_EQ(global_batch(make, batch, world), expected) << world;
    all.insert(all.end(), expected.begin(), expected.end());
  }
  EXPECT_EQ(std::set<std::int64_t>(all.begin(), all.end()).size(), 96u);  // none twice
}

TEST(ShuffledPlan, EpochsAndSeedsDifferAndTheirKeysToo) {
  std::set<Indices> orders;
  std::set<std::uint64_t> keys;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
      const ShuffledPlan plan(50, 50, seed, epoch, 0, 1);
      Indices order;
      plan.indices(0, order);
      orders.insert(order);
      keys.insert(plan.key());
    }
  }
  EXPECT_EQ(orders.size(), 16u);
  EXPECT_EQ(keys.size(), 16u);
  EXPECT_EQ(ShuffledPlan(50, 10, 3, 2, 0, 2).key(), ShuffledPlan(50, 10, 3, 2, 1, 2).key());
}

TEST(ShuffledPlan, RefusesSetsSmallerThanABatch) {
  EXPECT_THROW(ShuffledPlan(15, 16, 0, 0, 0, 1), DataError);
  EXPECT_THROW(ShuffledPlan(15, 0, 0, 0, 0, 1), DataError);
  EXPECT_EQ(ShuffledPlan(16, 16, 0, 0, 0, 1).num_batches(), 1);
}

TEST(SequentialPlan, VisitsEverySampleOnceInOrder) {
  for (const std::int64_t size : {1, 5, 32, 33, 100}) {
    for (const int world : {1, 2, 3, 5}) {
      const auto make = [size](int rank, int ranks) {
        return SequentialPlan(size, 32, rank, ranks);
      };
      Indices all;
      for (std::int64_t batch = 0; batch < make(0, 1).num_batches(); ++batch) {
        const Indices part = global_batch(make, batch, world);
        all.insert(all.end(), part.begin(), part.end());
      }
      EXPECT_EQ(all, counted(size)) << size << " on " << world;
    }
  }
}

TEST(SequentialPlan, LeavesRanksEmptyWhenTheLastBatchIsShort) {
  Indices rows{9, 9};
  SequentialPlan(33, 32, 0, 4).indices(1, rows);
  EXPECT_TRUE(rows.empty());
  SequentialPlan(33, 32, 3, 4).indices(1, rows);
  EXPECT_EQ(rows, Indices{32});
}

TEST(RangePlan, SharesEachRangeInWholeUnits) {
  // Units of 4: 13 samples from 8 are 4 units, 3 from 30 are one, which the last rank of two gets;
  // a range may be empty.
  const std::vector<RowRange> ranges = {{8, 21}, {30, 33}, {40, 40}};
  const auto rows_of = [&](int rank, int ranks, std::int64_t batch) {
    Indices rows;
    RangePlan(ranges, 4, rank, ranks).indices(batch, rows);
    return rows;
  };
  EXPECT_EQ(RangePlan(ranges, 4, 0, 2).num_batches(), 3);
  EXPECT_EQ(rows_of(0, 2, 0), (Indices{8, 9, 10, 11, 12, 13, 14, 15}));
  EXPECT_EQ(rows_of(1, 2, 0), (Indices{16, 17, 18, 19, 20}));
  EXPECT_EQ(rows_of(0, 2, 1), Indices{});
  EXPECT_EQ(rows_of(1, 2, 1), (Indices{30, 31, 32}));
  EXPECT_EQ(rows_of(1, 2, 2), Indices{});
  for (const int ranks : {1, 3, 5, 7}) {
    Indices all;
    for (int rank = 0; rank < ranks; ++rank) {
      const Indices rows = rows_of(rank, ranks, 0);
      EXPECT_TRUE(rows.empty() || (rows.front() - 8) % 4 == 0) << rank << " of " << ranks;
      all.insert(all.end(), rows.begin(), rows.end());
    }
    EXPECT_EQ(all.size(), 13U);
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  }
}

}  // namespace
}  // namespace diffprob::data

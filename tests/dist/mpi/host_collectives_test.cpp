#include "dist/mpi/host_collectives.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "dist/mpi/environment.h"
#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

using tests::world_rank;
using tests::world_size;

struct Pair {
  std::int32_t rank;
  double value;
};

class HostCollectivesTest : public ::testing::Test {
 protected:
  HostCollectives host_;
};

TEST_F(HostCollectivesTest, KnowsTheWorld) {
  EXPECT_EQ(host_.rank(), world_rank());
  EXPECT_EQ(host_.world_size(), world_size());
  host_.barrier("start");
}

template <class T>
void check_reductions(HostCollectives& host) {
  const int w = world_size();
  std::vector<T> sums;
  for (int i = 0; i < 5000; ++i) sums.push_back(static_cast<T>(i % 97 + world_rank()));
  auto highest = sums;
  auto lowest = sums;

  host.all_reduce(std::span<T>(sums), ReduceOp::kSum);
  host.all_reduce(std::span<T>(highest), ReduceOp::kMax);
  host.all_reduce(std::span<T>(lowest), ReduceOp::kMin);

  for (int i = 0; i < 5000; ++i) {
    const auto k = static_cast<std::size_t>(i);
    ASSERT_EQ(sums[k], static_cast<T>(w * (i % 97) + w * (w - 1) / 2));
    ASSERT_EQ(highest[k], static_cast<T>(i % 97 + w - 1));
    ASSERT_EQ(lowest[k], static_cast<T>(i % 97));
  }
}

TEST_F(HostCollectivesTest, AllReduceOfEveryType) {
  check_reductions<float>(host_);
  check_reductions<double>(host_);
  check_reductions<std::int32_t>(host_);
  check_reductions<std::int64_t>(host_);
  check_reductions<std::uint64_t>(host_);
}

TEST_F(HostCollectivesTest, AllReduceOfOneValueKeepsAllBits) {
  const std::uint64_t high = std::uint64_t{1} << 63;
  EXPECT_EQ(host_.all_reduce(world_rank() == 0 ? high + 1 : std::uint64_t{5}, ReduceOp::kMax),
            high + 1);
  EXPECT_EQ(host_.all_reduce(std::int64_t{-3} - world_rank(), ReduceOp::kMin),
            -3 - (world_size() - 1));
}

TEST_F(HostCollectivesTest, NanStaysVisibleWhicheverRankHasIt) {
  for (int bad = 0; bad < world_size(); ++bad) {
    const double mine =
        world_rank() == bad ? std::numeric_limits<double>::quiet_NaN() : 1.0 + world_rank();
    EXPECT_TRUE(std::isnan(host_.all_reduce(mine, ReduceOp::kMax)));
    EXPECT_TRUE(std::isnan(host_.all_reduce(mine, ReduceOp::kMin)));
  }
}

TEST_F(HostCollectivesTest, AllGatherOfStructs) {
  const auto all = host_.all_gather(Pair{world_rank(), world_rank() * 0.5});

  ASSERT_EQ(static_cast<int>(all.size()), world_size());
  for (int r = 0; r < world_size(); ++r) {
    EXPECT_EQ(all[static_cast<std::size_t>(r)].rank, r);
    EXPECT_EQ(all[static_cast<std::size_t>(r)].value, r * 0.5);
  }
}

TEST_F(HostCollectivesTest, AllGatherOfUnevenCounts) {
  const std::vector<std::int64_t> mine(
      static_cast<std::size_t>(world_rank() == 1 ? 0 : 3 * world_rank() + 1), world_rank());
  std::vector<std::int64_t> counts;

  const auto all = host_.all_gather_v(std::span<const std::int64_t>(mine), &counts);

  std::vector<std::int64_t> expected;
  for (int r = 0; r < world_size(); ++r) {
    const std::int64_t n = r == 1 ? 0 : 3 * r + 1;
    EXPECT_EQ(counts[static_cast<std::size_t>(r)], n);
    expected.insert(expected.end(), static_cast<std::size_t>(n), r);
  }
  EXPECT_EQ(all, expected);
}

TEST_F(HostCollectivesTest, AllToAllSortsByDestination) {
  std::vector<std::int32_t> values;
  std::vector<std::int64_t> send_counts;
  for (int r = 0; r < world_size(); ++r) {
    send_counts.push_back((world_rank() + 2 * r) % 4);
    values.insert(values.end(), static_cast<std::size_t>(send_counts.back()),
                  10 * world_rank() + r);
  }
  std::vector<std::int64_t> counts;

  const auto got = host_.all_to_all_v(std::span<const std::int32_t>(values), send_counts, &counts);

  std::vector<std::int32_t> expected;
  for (int r = 0; r < world_size(); ++r) {
    const std::int64_t n = (r + 2 * world_rank()) % 4;
    EXPECT_EQ(counts[static_cast<std::size_t>(r)], n);
    expected.insert(expected.end(), static_cast<std::size_t>(n), 10 * r + world_rank());
  }
  EXPECT_EQ(got, expected);
}

TEST_F(HostCollectivesTest, AllToAllRefusesCountsThatDoNotFit) {
  const std::vector<std::int32_t> values(5);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(world_size()), 0);
  counts[0] = 4;
  EXPECT_THROW((void)host_.all_to_all_v(std::span<const std::int32_t>(values), counts),
               std::invalid_argument);
  counts[0] = -1;
  EXPECT_THROW((void)host_.all_to_all_v(std::span<const std::int32_t>(values), counts),
               std::invalid_argument);
  counts.push_back(5);
  EXPECT_THROW((void)host_.all_to_all_v(std::span<const std::int32_t>(values), counts),
               std::invalid_argument);
}

TEST_F(HostCollectivesTest, BroadcastOfStringsOfAnySize) {
  for (const std::size_t size : {0UL, 1UL, 13UL, 3000000UL}) {
    const int root = static_cast<int>(size) % world_size();
    const std::string sent(size, static_cast<char>('a' + root));

    EXPECT_EQ(host_.broadcast(world_rank() == root ? sent : std::string(77, '?'), root), sent);
  }
  EXPECT_THROW((void)host_.broadcast("x", world_size()), std::invalid_argument);
}

TEST_F(HostCollectivesTest, TwoObjectsDoNotMix) {
  HostCollectives other;
  EXPECT_EQ(host_.all_reduce(1, ReduceOp::kSum), world_size());
  EXPECT_EQ(other.all_reduce(10, ReduceOp::kSum), 10 * world_size());
  EXPECT_EQ(host_.all_reduce(100, ReduceOp::kSum), 100 * world_size());
}

}  // namespace
}  // namespace diffprob::dist

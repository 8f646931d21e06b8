// Chunking, with chunks so small that every path of it runs on small data.
#include <gtest/gtest.h>

#include <numeric>

#include "dist/error.h"
#include "dist/mpi/all_reduce.h"
#include "dist/mpi/transport.h"
#include "tests/dist/ranks.h"
#include "tests/support/mpi_calls.h"

namespace diffprob::dist {
namespace {

using std::chrono::seconds;
using tests::world_rank;
using tests::world_size;

class TransportTest : public ::testing::TestWithParam<std::int64_t> {
 protected:
  MpiTransport transport_{seconds(60), {.chunk_bytes = GetParam(), .recorder = nullptr}};
};

/// What rank r holds at element i: distinct, exact in float, sums exact.
std::int64_t value(int rank, std::int64_t i) {
  return 1000 * (rank + 1) + i * (rank + 2);
}

template <class T>
std::vector<T> values(int rank, std::int64_t count) {
  std::vector<T> result;
  for (std::int64_t i = 0; i < count; ++i) result.push_back(static_cast<T>(value(rank, i)));
  return result;
}

std::byte* bytes(void* data) {
  return static_cast<std::byte*>(data);
}

TEST_P(TransportTest, AllReduceSumsEveryElementOnce) {
  for (const std::int64_t count : {0, 1, 2, 3, 7, 64, 1000, 40001}) {
    auto data = values<double>(world_rank(), count);

    all_reduce_by_messages(transport_, bytes(data.data()), count,
                           local_reduce<double>(ReduceOp::kSum), "all_reduce");

    for (std::int64_t i = 0; i < count; ++i) {
      double expected = 0;
      for (int r = 0; r < world_size(); ++r) expected += static_cast<double>(value(r, i));
      ASSERT_EQ(data[static_cast<std::size_t>(i)], expected) << "element " << i << " of " << count;
    }
  }
}

TEST_P(TransportTest, ReduceScatterGivesEachRankItsUnevenBlock) {
  std::vector<std::int64_t> counts;
  for (int r = 0; r < world_size(); ++r) counts.push_back(r == 1 ? 0 : 37 + 11 * r);
  const std::int64_t total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  const auto own = static_cast<std::size_t>(world_rank());
  const std::int64_t begin =
      std::accumulate(counts.begin(), counts.begin() + world_rank(), std::int64_t{0});
  auto input = values<std::int32_t>(world_rank(), total);
  std::vector<std::int32_t> output(static_cast<std::size_t>(counts[own]), -1);

  reduce_scatter(transport_, bytes(input.data()), bytes(output.data()), counts,
                 local_reduce<std::int32_t>(ReduceOp::kMax), "reduce_scatter");

  for (std::int64_t i = 0; i < counts[own]; ++i) {
    std::int64_t expected = 0;
    for (int r = 0; r < world_size(); ++r) expected = std::max(expected, value(r, begin + i));
    ASSERT_EQ(output[static_cast<std::size_t>(i)], expected);
  }
}

TEST_P(TransportTest, AllGatherKeepsRankOrder) {
  std::vector<std::int64_t> byte_counts;
  std::vector<std::int64_t> expected;
  for (int r = 0; r < world_size(); ++r) {
    const std::int64_t count = r == 0 ? 0 : 50 * r + 1;
    byte_counts.push_back(count * 8);
    const auto part = values<std::int64_t>(r, count);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  auto input =
      values<std::int64_t>(world_rank(), byte_counts[static_cast<std::size_t>(world_rank())] / 8);
  std::vector<std::int64_t> output(expected.size());

  transport_.all_gather(bytes(input.data()), bytes(output.data()), byte_counts, "all_gather");

  EXPECT_EQ(output, expected);
}

TEST_P(TransportTest, BroadcastCarriesEveryByteFromAnyRoot) {
  for (int root = 0; root < world_size(); ++root) {
    auto data = values<std::int64_t>(world_rank(), 333);

    transport_.broadcast(bytes(data.data()), 333 * 8, root, "broadcast");

    EXPECT_EQ(data, values<std::int64_t>(root, 333));
  }
}

TEST_P(TransportTest, ExchangeDeliversToTheRightRank) {
  const auto ranks = static_cast<std::size_t>(world_size());
  std::vector<std::vector<std::int64_t>> sent(ranks);
  std::vector<std::vector<std::int64_t>> got(ranks);
  std::vector<Outgoing> outgoing;
  std::vector<Incoming> incoming;
  for (int r = 0; r < world_size(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    sent[i].assign(static_cast<std::size_t>(30 * r + world_rank()), 100 * world_rank() + r);
    got[i].assign(static_cast<std::size_t>(30 * world_rank() + r), -1);
    outgoing.push_back({bytes(sent[i].data()), static_cast<std::int64_t>(sent[i].size() * 8)});
    incoming.push_back({bytes(got[i].data()), static_cast<std::int64_t>(got[i].size() * 8)});
  }

  transport_.exchange(outgoing, incoming, "exchange");

  for (int r = 0; r < world_size(); ++r) {
    for (const auto v : got[static_cast<std::size_t>(r)]) ASSERT_EQ(v, 100 * r + world_rank());
  }
}

/// Ranks of one node go through shared memory; lengths around its small-message limit and its
/// slots.
TEST(SharedNodeTransport, AllReduceEqualsTheOneOfMessages) {
  MpiTransport transport(seconds(60));
  AllReduce shared(transport);
  for (int round = 0; round < 3; ++round) {
    for (const std::int64_t count :
         {1, 0, 3, 1024, 2048, 2049, 5000, 131072, 131073, 262144, 400001, 1}) {
      auto one = values<double>(world_rank() + round, count);
      auto other = one;

      shared(bytes(one.data()), count, local_reduce<double>(ReduceOp::kSum), "all_reduce");
      all_reduce_by_messages(transport, bytes(other.data()), count,
                             local_reduce<double>(ReduceOp::kSum), "all_reduce");

      ASSERT_EQ(one, other) << count;
      if (count > 0) {
        double last = 0;
        for (int r = 0; r < world_size(); ++r)
          last += static_cast<double>(value(r + round, count - 1));
        ASSERT_EQ(one.back(), last) << count;
      }
    }
  }
}

/// Ranks that do not agree on the length learn it.
TEST(SharedNodeTransport, LengthsThatDisagreeAreNamed) {
  if (world_size() < 2) GTEST_SKIP() << "needs two ranks";
  MpiTransport transport(seconds(5));
  AllReduce all_reduce(transport);
  auto data = values<double>(world_rank(), 10);
  all_reduce(bytes(data.data()), 10, local_reduce<double>(ReduceOp::kSum), "all_reduce");

  std::string message;
  try {
    all_reduce(bytes(data.data()), world_rank() == 0 ? 8 : 10, local_reduce<double>(ReduceOp::kSum),
               "all_reduce");
  } catch (const CommError& error) {
    message = error.what();
  }

  const std::string expected = world_rank() == 0 ? "expected 64 bytes from rank 1, found 80"
                                                 : "expected 80 bytes from rank 0, found 64";
  EXPECT_NE(message.find(expected), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(ChunkBytes, TransportTest,
                         ::testing::Values(16, 56, 1000, TransportOptions{}.chunk_bytes));

/// The last rank gives 10, 11, ..., all others less.
TEST(MaxOfLastCall, IsACallBehindAndSendsNoMessagesOfOurs) {
  MpiTransport transport(seconds(60));
  constexpr int kCalls = 20;
  tests::mpi_calls = {};
  EXPECT_EQ(transport.max_of_last_call(0, "first"), 0);
  for (int i = 0; i < kCalls; ++i) EXPECT_EQ(transport.max_of_last_call(0, "nothing"), 0);
  const int last = world_size() - 1;
  EXPECT_EQ(transport.max_of_last_call(world_rank() == last ? 10 : world_rank(), "the wish"), 0);
  EXPECT_EQ(transport.max_of_last_call(99, "the answer"), 10);
  EXPECT_EQ(transport.max_of_last_call(3, "a first call again"), 0) << "99 was dropped";
  EXPECT_EQ(transport.max_of_last_call(0, "the next"), 3);
  EXPECT_EQ(tests::mpi_calls.messages, 0);
  EXPECT_EQ(tests::mpi_calls.reductions, world_size() == 1 ? 0 : kCalls + 3);
}

TEST(MaxOfLastCall, GoesOnBesideOtherOperationsAndMayBeLeftUnread) {
  MpiTransport transport(seconds(60));
  AllReduce all_reduce(transport);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(transport.max_of_last_call(0, "max"), 0);
    std::int64_t one = 1;
    all_reduce(bytes(&one), 1, local_reduce<std::int64_t>(ReduceOp::kSum), "sum");
    EXPECT_EQ(one, world_size());
    transport.progress();
    transport.barrier("barrier");
  }
  EXPECT_EQ(transport.max_of_last_call(5, "never read"), 0);
}

TEST(TransportErrors, SizesThatDisagreeAreNamed) {
  if (world_size() < 2) GTEST_SKIP() << "needs two ranks";
  MpiTransport transport(seconds(5));
  // Static: after the error MPI may still hold the buffers. Rank 0 sends 8 bytes where the others
  // expect 16.
  static std::vector<double> data(2, 1.0);
  static std::vector<std::vector<double>> got(static_cast<std::size_t>(world_size()),
                                              std::vector<double>(2));
  const std::vector<Outgoing> outgoing(static_cast<std::size_t>(world_size()),
                                       {bytes(data.data()), world_rank() == 0 ? 8 : 16});
  std::vector<Incoming> incoming;
  for (auto& part : got) incoming.push_back({bytes(part.data()), 16});

  std::string message;
  try {
    transport.exchange(outgoing, incoming, "exchange of sizes");
  } catch (const CommError& error) {
    message = error.what();
  }

  if (world_rank() == 0) {
    EXPECT_EQ(message, "");
  } else {
    EXPECT_NE(message.find("exchange of sizes"), std::string::npos) << message;
    EXPECT_NE(message.find("expected 16 bytes from rank 0, found 8"), std::string::npos) << message;
    EXPECT_THROW(transport.barrier("after an error"), CommError);
  }
}

}  // namespace
}  // namespace diffprob::dist

#include "dist/mpi/agreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>

#include "dist/mpi/environment.h"
#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

using tests::world_rank;
using tests::world_size;

class Refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class AgreementTest : public ::testing::Test {
 protected:
  /// Throws on these ranks, each with a message of its own.
  static void fail_on(const std::set<int>& ranks) {
    if (ranks.contains(world_rank()))
      throw std::logic_error("no room on disk " + std::to_string(world_rank()));
  }

  /// Returns the message of the Refused that `call` throws, "" if it throws nothing.
  template <class Call>
  static std::string message_of(const Call& call) {
    try {
      call();
    } catch (const Refused& error) {
      return error.what();
    }
    return "";
  }

  [[nodiscard]] std::string message_when_failing(const std::set<int>& ranks) {
    return message_of([&] { together<Refused>(host_, [&] { fail_on(ranks); }); });
  }

  HostCollectives host_;
};

TEST_F(AgreementTest, ThrowsTheMessageOfTheLowestFailingRankOnAllRanks) {
  const std::string message = message_when_failing({1, 3});

  EXPECT_EQ(message, world_size() > 1 ? "rank 1: no room on disk 1" : "");
  EXPECT_THAT(gather_texts(host_, message), ::testing::Each(message));
}

TEST_F(AgreementTest, ThrowsNothingWithoutFailure) {
  EXPECT_EQ(message_when_failing({}), "");
}

TEST_F(AgreementTest, LeavesOutTheRankWhenAllFail) {
  EXPECT_EQ(message_when_failing({0, 1, 2, 3}), "no room on disk 0");
}

TEST_F(AgreementTest, ReportsExceptionsOfAnyType) {
  const auto message = message_of([&] { together<Refused>(host_, [] { throw 5; }); });

  EXPECT_EQ(message, "unknown exception");
}

TEST_F(AgreementTest, CollectivesWorkAfterAFailure) {
  (void)message_when_failing({0});
  (void)message_when_failing({world_size() - 1});

  EXPECT_EQ(host_.all_reduce(std::int64_t{1}, ReduceOp::kSum), world_size());
}

TEST_F(AgreementTest, FirstProblemKeepsTheFirstAndSkipsLaterWork) {
  FirstProblem problem;
  int runs = 0;

  problem.run([&] { ++runs; });
  problem.run([&] { fail_on({0}); });
  problem.run([&] {
    ++runs;
    throw std::logic_error("a consequence of the first");
  });
  const auto message = message_of([&] { problem.throw_together<Refused>(host_); });

  EXPECT_EQ(runs, world_rank() == 0 ? 1 : 2);
  EXPECT_EQ(message, "no room on disk 0");  // all ranks have a problem: rank 0 speaks for them
}

TEST(InRounds, OutlastsTheDeadline) {
  constexpr std::chrono::milliseconds kDeadline = std::chrono::seconds(4);
  HostCollectives impatient({kDeadline, kDeadline});
  bool done = false;
  in_rounds(impatient, [&] {
    if (world_rank() == world_size() - 1) std::this_thread::sleep_for(kDeadline * 3 / 2);
    done = true;
  });
  EXPECT_TRUE(done);
  EXPECT_EQ(impatient.all_reduce(std::int64_t{1}, ReduceOp::kSum), world_size());
}

TEST(InRounds, ThrowsWhereWorkDid) {
  HostCollectives host;
  std::string message;
  try {
    in_rounds(host, [] {
      if (world_rank() == 0) throw Refused("not readable");
    });
  } catch (const Refused& error) {
    message = error.what();
  }
  EXPECT_EQ(message, world_rank() == 0 ? "not readable" : "");
  EXPECT_EQ(host.all_reduce(std::int64_t{1}, ReduceOp::kSum), world_size());
}

TEST_F(AgreementTest, GathersTextsInRankOrder) {
  const std::string own(static_cast<std::size_t>(3 * world_rank()), 'x');

  const auto texts = gather_texts(host_, own);

  ASSERT_EQ(static_cast<int>(texts.size()), world_size());
  for (int rank = 0; rank < world_size(); ++rank)
    EXPECT_EQ(texts[static_cast<std::size_t>(rank)].size(), static_cast<std::size_t>(3 * rank));
}

}  // namespace
}  // namespace diffprob::dist

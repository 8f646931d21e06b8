// A rank that comes too late: the others learn it, by name. The late one joins afterwards, so that
// the test ends cleanly.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <future>
#include <thread>

#include "dist/communicator.h"
#include "dist/error.h"
#include "dist/mpi/host_collectives.h"
#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

using std::chrono::milliseconds;
using tests::world_rank;
using tests::world_size;

constexpr milliseconds kStep{300};
constexpr milliseconds kLate{1500};
const Deadlines kShort{std::chrono::seconds(30), kStep};

struct Outcome {
  std::string message;  // empty: no error
  double seconds = 0;
};

template <class Operation>
Outcome measure(Operation operation) {
  Outcome outcome;
  const auto start = std::chrono::steady_clock::now();
  try {
    operation();
  } catch (const CommError& error) {
    outcome.message = error.what();
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

bool is_late() {
  return world_rank() == world_size() - 1;
}

/// The wait ended by its deadline: not by the arrival of the late rank, and not much later on a
/// machine that has other work to do.
void expect_timely(const Outcome& outcome, const std::string& operation) {
  EXPECT_NE(outcome.message.find(operation), std::string::npos) << outcome.message;
  EXPECT_NE(outcome.message.find("rank " + std::to_string(world_rank()) + " of"), std::string::npos)
      << outcome.message;
  EXPECT_NE(outcome.message.find("; the deadline is 0.300 s"), std::string::npos)
      << outcome.message;
  EXPECT_EQ(outcome.message.find("did not answer"), std::string::npos) << outcome.message;
  EXPECT_GE(outcome.seconds,
            0.25);  // the wait may begin on the progress thread, before the clock of the test
  EXPECT_LT(outcome.seconds, 20);
}

class DeadlineTest : public ::testing::Test {
 protected:
  void SetUp() override { MPI_Barrier(MPI_COMM_WORLD); }
  void TearDown() override { MPI_Barrier(MPI_COMM_WORLD); }
};

TEST_F(DeadlineTest, HostCollectivesNameTheMissingRank) {
  HostCollectives host(kShort);
  host.set_phase(Phase::kStep);
  MPI_Barrier(MPI_COMM_WORLD);
  if (is_late()) std::this_thread::sleep_for(kLate);

  const auto outcome = measure([&] { (void)host.all_reduce(1.0, ReduceOp::kSum); });

  if (is_late()) {  // the others gave up, and left
    EXPECT_EQ(outcome.message.find("did not answer"), std::string::npos) << outcome.message;
    return;
  }
  expect_timely(outcome, "all_reduce");
  EXPECT_NE(outcome.message.find("nothing from rank " + std::to_string(world_size() - 1)),
            std::string::npos)
      << outcome.message;
  // It sleeps, but its thread answers; nobody else is blamed.
  const std::string absent = "; rank " + std::to_string(world_size() - 1) + " did not arrive: ";
  EXPECT_NE(outcome.message.find(absent), std::string::npos) << outcome.message;
  EXPECT_EQ(outcome.message.find("did not arrive"), outcome.message.rfind("did not arrive"))
      << outcome.message;
  EXPECT_NE(outcome.message.find("deadline_test.cpp:"), std::string::npos) << outcome.message;
  const auto again = measure([&] { host.barrier("after"); });
  EXPECT_NE(again.message.find("dead"), std::string::npos) << again.message;
}

TEST_F(DeadlineTest, ANumberThatIsExchangedAheadNamesTheRankThatGaveNone) {
  HostCollectives host(kShort);
  host.set_phase(Phase::kStep);
  MPI_Barrier(MPI_COMM_WORLD);
  if (is_late()) std::this_thread::sleep_for(kLate);

  const auto first = measure([&] { EXPECT_EQ(host.max_of_last_call(0), 0); });
  const auto second = measure([&] { (void)host.max_of_last_call(0); });

  if (is_late()) return;
  EXPECT_EQ(first.message, "");
  expect_timely(second, "all_reduce started by the previous call");
  const std::string absent = "; rank " + std::to_string(world_size() - 1) + " did not arrive: ";
  EXPECT_NE(second.message.find(absent), std::string::npos) << second.message;
}

TEST_F(DeadlineTest, BarrierNamesItsPurpose) {
  HostCollectives host(kShort);
  host.set_phase(Phase::kStep);
  MPI_Barrier(MPI_COMM_WORLD);
  if (is_late()) std::this_thread::sleep_for(kLate);

  const auto outcome = measure([&] { host.barrier("before the manifest"); });

  if (!is_late()) expect_timely(outcome, "before the manifest");
}

TEST_F(DeadlineTest, TheStartNamesTheMissingRank) {
  const Deadlines deadlines{is_late() ? std::chrono::milliseconds(std::chrono::seconds(30)) : kStep,
                            kStep};
  if (is_late()) std::this_thread::sleep_for(kLate);

  // The copy of MPI_COMM_WORLD that the others have given up still comes about, when the late rank
  // joins.
  const auto outcome = measure([&] { const HostCollectives host(deadlines); });

  if (is_late()) {
    EXPECT_EQ(outcome.message, "");
    return;
  }
  expect_timely(outcome, "creation of a communicator");
  const std::string missing = "nothing from rank " + std::to_string(world_size() - 1);
  EXPECT_EQ(outcome.message.substr(outcome.message.find("nothing")), missing) << outcome.message;
}

TEST_F(DeadlineTest, TensorsOfAFailedCollectiveAreLeftAlone) {
  auto comm = make_mpi_communicator(kShort);
  comm->set_phase(Phase::kStep);
  MPI_Barrier(MPI_COMM_WORLD);
  if (is_late()) std::this_thread::sleep_for(kLate);

  // Large enough for the rendezvous protocol, whose requests outlive the wait.
  Outcome first;
  Outcome second;
  {
    auto one = comm->all_reduce(torch::ones({300000}));
    auto two = comm->broadcast(torch::ones({10}), 0);
    first = measure([&] { one->wait_host(); });
    second = measure([&] { two->wait_host(); });
  }

  if (is_late()) return;  // it may fail as well: its peers are gone
  expect_timely(first, "all_reduce");
  EXPECT_EQ(second.message, first.message);
}

TEST_F(DeadlineTest, AbortEndsAWaitAtOnce) {
  auto comm = make_mpi_communicator();
  MPI_Barrier(MPI_COMM_WORLD);
  if (is_late()) {
    std::this_thread::sleep_for(kLate);
    return;
  }

  auto work = comm->barrier();
  auto killer = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(milliseconds(200));
    comm->abort();
  });
  const auto outcome = measure([&] { work->wait_host(); });

  EXPECT_NE(outcome.message.find("aborted"), std::string::npos) << outcome.message;
  EXPECT_THROW(comm->barrier()->wait_host(), CommError);
}

}  // namespace
}  // namespace diffprob::dist

// What goes wrong between ranks, on a pretended NCCL: every rank ends in time, and says what it
// waited for. "Late" is the last rank.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <future>
#include <thread>

#include "dist/communicator.h"
#include "dist/error.h"
#include "tests/dist/gpu/fake_nccl.h"
#include "tests/dist/gpu/nccl_on_fake.h"
#include "tests/dist/ranks.h"
#include "tests/support/fake_device.h"

namespace diffprob::dist {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using tests::world_rank;
using tests::world_size;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kStep{400};
constexpr double kLongest = 0.4 + 10;  // of any fault: the deadline and ten seconds

double longest_seen = 0;

class NcclFaultsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tests::set_fake_nccl({});
    tests::forget_fake_nccl_calls();
    device_ = tests::take_fake_device();
    nccl_ = tests::connect_fake_nccl(device_, {10s, kStep});
    nccl_->set_phase(Phase::kStep);
    values_ = torch::ones({1000}).to(device_);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  /// All ranks are there until all have seen the fault.
  void TearDown() override {
    MPI_Barrier(MPI_COMM_WORLD);
    tests::set_fake_nccl({});
    nccl_.reset();
    MPI_Barrier(MPI_COMM_WORLD);
  }

  [[nodiscard]] static bool is_late() { return world_rank() == world_size() - 1; }

  /// What `work` throws, which it must do in time.
  static std::string error_of(const std::function<void()>& work) {
    const auto start = Clock::now();
    std::string text;
    try {
      work();
    } catch (const CommError& error) {
      text = error.what();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    longest_seen = std::max(longest_seen, seconds);
    EXPECT_LT(seconds, kLongest);
    EXPECT_NE(text, "") << "no CommError";
    return text;
  }
  static std::string late_rank() { return "rank " + std::to_string(world_size() - 1); }

  at::Device device_ = at::kCPU;
  std::unique_ptr<Communicator> nccl_;
  at::Tensor values_;
};

TEST_F(NcclFaultsTest, ARankThatDoesNotComeIsNamed) {
  if (is_late()) return;
  const std::string error = error_of([&] { nccl_->all_reduce(values_)->wait_host(); });
  EXPECT_THAT(error, HasSubstr("all_reduce #1 float32 [1000]"));
  EXPECT_THAT(error, HasSubstr("nccl_faults_test.cpp:"));
  EXPECT_THAT(error, HasSubstr(late_rank() + " did not arrive"));
  EXPECT_THAT(error_of([&] { nccl_->barrier()->wait_host(); }), HasSubstr("dead since"));
  EXPECT_THAT(tests::fake_nccl_calls(), Contains("abort ended"));
}

TEST_F(NcclFaultsTest, AHostThatWaitsForTheDeviceAloneIsFreedByTheWatchdog) {
  if (is_late()) return;
  nccl_->all_reduce(values_)->wait_stream();
  const std::string error = error_of([&] {
    (void)values_.cpu();  // waits for the stream, which waits for the collective
    nccl_->all_reduce(values_)->wait_host();
  });
  EXPECT_THAT(error, HasSubstr("dead since"));
  EXPECT_THAT(error, HasSubstr(late_rank() + " did not arrive"));
}

/// The kernels of a replay hang, as they do behind a dead link, on all ranks; NCCL's abort waits
/// for the graph, whose owner is this thread.
TEST_F(NcclFaultsTest, AReplayThatHangsEndsAlthoughTheAbortWaitsForItsGraph) {
  tests::set_fake_nccl({.abort_waits_for_graph = true, .graphs = 1});
  const c10::Stream stream = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
  tests::enqueue_on_fake_stream(stream.native_handle(), [] {
    while (!tests::fake_nccl_is_aborted()) std::this_thread::sleep_for(1ms);
  });
  nccl_->watch_replay();
  const std::string error = error_of([&] {
    stream.synchronize();
    nccl_->watch_replay();  // behind the next one
  });
  EXPECT_THAT(error, HasSubstr("dead since: replay of a captured step"));
  EXPECT_THAT(error_of([&] { nccl_->all_reduce(values_)->wait_host(); }),
              HasSubstr("replay of a captured step"));
  EXPECT_THAT(tests::fake_nccl_calls(), Not(Contains("abort ended")));
  tests::destroy_fake_graph();  // unwinding does it
  nccl_.reset();
  EXPECT_THAT(tests::fake_nccl_calls(), Contains("abort ended"));
}

TEST_F(NcclFaultsTest, ALaunchThatNcclDoesNotTakePassesItsDeadline) {
  tests::set_fake_nccl({.hangs = true});
  EXPECT_THAT(error_of([&] { nccl_->all_reduce(values_)->wait_host(); }), HasSubstr("s for NCCL"));
}

TEST_F(NcclFaultsTest, AnErrorOfAPeerEndsAWait) {
  if (is_late()) return;
  const auto work = nccl_->all_reduce(values_);
  tests::set_fake_nccl({.error = ncclRemoteError});
  EXPECT_THAT(error_of([&] { work->wait_host(); }), HasSubstr("remote error; peer 3 is gone"));
}

TEST_F(NcclFaultsTest, AnAbortFromElsewhereEndsAWait) {
  nccl_->set_phase(Phase::kStartup);  // a deadline that no slow machine passes
  if (is_late()) return;
  const auto work = nccl_->all_reduce(values_);
  const auto other = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(50ms);
    nccl_->abort();
  });
  EXPECT_THAT(error_of([&] { work->wait_host(); }), HasSubstr("it was aborted"));
}

TEST_F(NcclFaultsTest, AnAbortWhileALaunchIsUnderWayWaitsForItsDeadlineAndNotForEver) {
  tests::set_fake_nccl({.hangs = true});
  const auto other = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(50ms);
    nccl_->abort();
  });
  (void)error_of([&] { nccl_->all_reduce(values_)->wait_host(); });
}

TEST_F(NcclFaultsTest, AStartThatDoesNotComeToItsEndThrows) {
  tests::set_fake_nccl({.hangs = true});
  EXPECT_THAT(error_of([&] {
                (void)tests::connect_fake_nccl(device_, {kStep, kStep});
              }),
              HasSubstr("initialisation of NCCL"));
}

TEST_F(NcclFaultsTest, AnEndThatHangsIsAborted) {
  auto brief = tests::connect_fake_nccl(device_, {kStep, kStep});
  tests::set_fake_nccl({.hangs = true});
  const auto start = Clock::now();
  brief.reset();
  EXPECT_LT(std::chrono::duration<double>(Clock::now() - start).count(), kLongest);
  EXPECT_THAT(tests::fake_nccl_calls(), Contains("abort ended"));
}

/// Without a fault: slow answers, and the end while operations are under way.
TEST_F(NcclFaultsTest, StatesInProgressAreNoFault) {
  nccl_->set_phase(Phase::kStartup);  // a deadline that no slow machine passes
  tests::set_fake_nccl({.in_progress = 3});
  for (int i = 0; i < 10; ++i) nccl_->all_reduce(values_)->wait_stream();
  double expected = 1;
  for (int i = 0; i < 10; ++i) expected *= world_size();
  EXPECT_EQ(values_.cpu()[0].item<double>(), expected);
  EXPECT_THAT(tests::fake_nccl_calls(), Not(Contains("abort")));
}

/// Blocks that differ in length travel as equal ones: no operation a rank.
TEST_F(NcclFaultsTest, UnevenBlocksAreOneOperationEach) {
  nccl_->set_phase(Phase::kStartup);  // a deadline that no slow machine passes
  std::vector<std::int64_t> counts(static_cast<std::size_t>(world_size()), 2);
  counts.front() = 3;
  const auto own = counts[static_cast<std::size_t>(world_rank())];
  const at::Tensor part = torch::ones({own, 5}).to(device_);
  const at::Tensor whole = torch::empty({2 * world_size() + 1, 5}).to(device_);
  tests::forget_fake_nccl_calls();
  nccl_->all_gather_v(whole, part, counts)->wait_stream();
  nccl_->reduce_scatter_v(part, whole, counts)->wait_stream();
  EXPECT_TRUE(torch::equal(part.cpu(), torch::full({own, 5}, static_cast<float>(world_size()))));
  EXPECT_THAT(tests::fake_nccl_calls(),
              ::testing::ElementsAre("launch", "AllGather", "launch", "ReduceScatter"));
}

TEST_F(NcclFaultsTest, NothingIsDoneOnTheDeviceOfAnotherRank) {
  nccl_->set_phase(Phase::kStartup);  // a deadline that no slow machine passes
  tests::forget_fake_devices();
  nccl_->all_reduce(values_)->wait_stream();
  nccl_->barrier()->wait_host();
  const auto again = tests::connect_fake_nccl(device_, {10s, 10s});
  again->all_reduce(values_)->wait_host();
  EXPECT_THAT(tests::worked_on_fake_devices(), ::testing::ElementsAre(device_.index()));
  EXPECT_THAT(tests::current_fake_devices(),
              ::testing::IsSubsetOf({static_cast<int>(device_.index())}));
}

/// A part of the ranks beside all of them, as the head has it: one stream, two communicators.
class NcclPartFaultsTest : public NcclFaultsTest {
 protected:
  void SetUp() override {
    NcclFaultsTest::SetUp();
    nccl_->set_phase(Phase::kStartup);
    // Rank 0 is alone, the others come together.
    part_ = nccl_->subset("others", ranks());
    nccl_->set_phase(Phase::kStep);
    part_->set_phase(Phase::kStep);
    MPI_Barrier(MPI_COMM_WORLD);
  }
  void TearDown() override {
    MPI_Barrier(MPI_COMM_WORLD);
    tests::set_fake_nccl({});
    part_.reset();
    NcclFaultsTest::TearDown();
  }
  [[nodiscard]] static std::vector<int> ranks() {
    if (is_alone()) return {0};
    std::vector<int> others;
    for (int r = 1; r < world_size(); ++r) others.push_back(r);
    return others;
  }
  [[nodiscard]] static bool is_alone() { return world_rank() == 0; }

  std::unique_ptr<Communicator> part_;
};

TEST_F(NcclPartFaultsTest, ARankOfAPartIsNamedByItsNumberAmongAll) {
  if (is_late() || is_alone()) return;
  const std::string error = error_of([&] { part_->all_reduce(values_)->wait_host(); });
  EXPECT_THAT(error, HasSubstr(late_rank() + " did not arrive"));
  EXPECT_THAT(error, HasSubstr("of ranks 1"));
}

/// What comes behind it on the stream belongs to the other communicator, whose ranks are all there.
TEST_F(NcclPartFaultsTest, AHungPartEndsTheWaitForTheOtherCommunicatorToo) {
  if (is_late()) return;
  const std::string error = error_of([&] {
    if (!is_alone()) part_->all_reduce(values_)->wait_stream();
    nccl_->all_reduce(values_)->wait_stream();
    (void)values_.cpu();
    nccl_->all_reduce(values_)->wait_host();
  });
  EXPECT_THAT(error, HasSubstr("dead since"));
}

TEST_F(NcclPartFaultsTest, AHungReplayEndsBothCommunicators) {
  tests::set_fake_nccl({.abort_waits_for_graph = true, .graphs = 1});
  const c10::Stream stream = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
  tests::enqueue_on_fake_stream(stream.native_handle(), [] {
    while (!tests::fake_nccl_is_aborted()) std::this_thread::sleep_for(1ms);
  });
  const auto watch = [&] {
    nccl_->watch_replay();
    part_->watch_replay();
  };
  watch();
  const std::string error = error_of([&] {
    stream.synchronize();
    watch();
  });
  EXPECT_THAT(error, HasSubstr("dead since: replay of a captured step"));
  tests::destroy_fake_graph();
  part_.reset();
  nccl_.reset();
  EXPECT_THAT(tests::fake_nccl_calls(), Contains("abort ended"));
}

TEST_F(NcclPartFaultsTest, AnAbortOfOneLeavesTheOtherAlive) {
  nccl_->set_phase(Phase::kStartup);
  part_->abort();
  EXPECT_THAT(error_of([&] { part_->all_reduce(values_)->wait_host(); }), HasSubstr("dead since"));
  nccl_->all_reduce(values_)->wait_host();
  EXPECT_EQ(values_.cpu()[0].item<double>(), world_size());
}

TEST_F(NcclPartFaultsTest, AnErrorOfAPeerEndsAWaitInAPart) {
  if (is_late() || is_alone()) return;
  const auto work = part_->all_reduce(values_);
  tests::set_fake_nccl({.error = ncclRemoteError});
  EXPECT_THAT(error_of([&] { work->wait_host(); }), HasSubstr("remote error; peer 3 is gone"));
}

TEST_F(NcclPartFaultsTest, APartThatDoesNotComeToBeThrows) {
  auto brief = tests::connect_fake_nccl(device_, {kStep, kStep});
  tests::set_fake_nccl({.hangs = true});
  EXPECT_THAT(error_of([&] { (void)brief->subset("part", {world_rank()}); }),
              HasSubstr("initialisation of NCCL"));
  tests::set_fake_nccl({});
}

class PrintLongest : public ::testing::Environment {
  void TearDown() override { std::printf("longest fault: %.2f s\n", longest_seen); }
};
const auto* const print_longest = ::testing::AddGlobalTestEnvironment(new PrintLongest);

}  // namespace
}  // namespace diffprob::dist

// NcclHandle on a pretended NCCL: start, deadlines, errors, aborts that wait for a CUDA graph, the
// end. No GPU.
#include "dist/gpu/nccl_handle.h"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dist/error.h"
#include "tests/dist/gpu/fake_nccl.h"

namespace diffprob::dist {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using tests::FakeNccl;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class NcclHandleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tests::set_fake_nccl({});
    tests::forget_fake_nccl_calls();
  }
  /// The last resort is noted, not taken; a graph that still stands is destroyed then, as the end
  /// of a process would.
  [[nodiscard]] NcclAbortLimits limits(std::chrono::milliseconds last_resort = 60s) {
    return {100ms, last_resort, [this](const std::string& reason) {
              ended_with_ = reason;
              ended_ = true;
              tests::destroy_fake_graph();
            }};
  }
  [[nodiscard]] std::unique_ptr<NcclHandle> make(std::chrono::milliseconds last_resort = 60s) {
    return std::make_unique<NcclHandle>(ncclUniqueId{}, 1, 4, 300ms, limits(last_resort));
  }
  template <class Work>
  static std::string error_of(Work&& work) {
    try {
      work();
    } catch (const CommError& error) {
      return error.what();
    }
    return "";
  }
  static void launch(NcclHandle& handle, std::chrono::milliseconds timeout = 200ms) {
    handle.launch("all_reduce", timeout, [](ncclComm_t) {});
  }

  std::string ended_with_;
  std::atomic<bool> ended_ = false;
};

TEST_F(NcclHandleTest, StartsLaunchesAndEndsThroughStatesInProgress) {
  tests::set_fake_nccl({.in_progress = 3});
  auto handle = make();
  launch(*handle);
  handle->check_alive("all_reduce");
  handle.reset();
  EXPECT_THAT(tests::fake_nccl_calls(), ElementsAre("init", "launch", "finalize", "destroy"));
  EXPECT_FALSE(ended_);
}

TEST_F(NcclHandleTest, AStartThatFailsOrHangsThrowsWithinItsDeadline) {
  tests::set_fake_nccl({.start_error = ncclInvalidUsage});
  EXPECT_THAT(error_of([&] { (void)make(); }),
              HasSubstr("initialisation of NCCL failed on rank 1"));
  tests::set_fake_nccl({.error = ncclRemoteError});
  EXPECT_THAT(error_of([&] { (void)make(); }),
              HasSubstr("initialisation of NCCL failed on rank 1: remote error; peer 3 is gone"));
  tests::set_fake_nccl({.hangs = true});
  const auto start = Clock::now();
  EXPECT_THAT(error_of([&] { (void)make(); }), HasSubstr("initialisation of NCCL: rank 1 waited"));
  EXPECT_LT(seconds_since(start), 5);
  EXPECT_THAT(tests::fake_nccl_calls(), Contains("abort ended"));  // nothing of it is left
}

TEST_F(NcclHandleTest, ALaunchThatHangsPassesItsDeadlineAndAbortsOnce) {
  auto handle = make();
  tests::set_fake_nccl({.hangs = true});
  EXPECT_THAT(error_of([&] { launch(*handle); }), HasSubstr("all_reduce: rank 1 waited"));
  EXPECT_THAT(error_of([&] { launch(*handle); }),
              HasSubstr("the communicator is dead since: all_reduce: rank 1 waited"));
  EXPECT_THAT(error_of([&] { handle->check_alive("all_gather"); }),
              HasSubstr("all_gather: the communicator is dead since"));
  handle.reset();
  EXPECT_THAT(tests::fake_nccl_calls(), ElementsAre("init", "launch", "abort", "abort ended"));
}

TEST_F(NcclHandleTest, APeerThatFailsIsFoundBetweenOperations) {
  auto handle = make();
  tests::set_fake_nccl({.error = ncclRemoteError});
  EXPECT_THAT(error_of([&] { handle->check_alive("all_reduce"); }),
              HasSubstr("all_reduce failed on rank 1: remote error; peer 3 is gone"));
  handle.reset();
  EXPECT_THAT(tests::fake_nccl_calls(), Not(Contains("finalize")));
}

/// The thread that owns a graph of the communicator waits in launch() while another one aborts:
/// this was a deadlock.
TEST_F(NcclHandleTest, AnAbortThatWaitsForAGraphLetsItsOwnerGo) {
  auto handle = make();
  tests::set_fake_nccl({.abort_waits_for_graph = true, .graphs = 1});
  auto watchdog =
      std::async(std::launch::async, [&] { handle->abort("the replay passed its deadline"); });
  auto owner = std::async(std::launch::async, [&] {
    std::string error;
    for (int i = 0; i < 2000 && error.empty(); ++i) {
      std::this_thread::sleep_for(1ms);
      error = error_of([&] { launch(*handle); });
    }
    tests::destroy_fake_graph();  // unwinding does it
    return error;
  });

  ASSERT_EQ(owner.wait_for(10s), std::future_status::ready)
      << "the owner of the graph waits for the abort, which waits for it";
  EXPECT_THAT(owner.get(), HasSubstr("dead since: the replay passed its deadline"));
  ASSERT_EQ(watchdog.wait_for(10s), std::future_status::ready);
  handle.reset();
  EXPECT_THAT(tests::fake_nccl_calls(), Contains("abort ended"));
  EXPECT_FALSE(ended_);
}

TEST_F(NcclHandleTest, TheOwnerOfTheGraphMayAbortItself) {
  auto handle = make();
  tests::set_fake_nccl({.error = ncclRemoteError, .abort_waits_for_graph = true, .graphs = 1});
  const auto start = Clock::now();
  EXPECT_THAT(error_of([&] { handle->check_alive("replay"); }), HasSubstr("replay failed"));
  EXPECT_LT(seconds_since(start), 5);
  tests::destroy_fake_graph();
  handle.reset();
  EXPECT_FALSE(ended_);
}

TEST_F(NcclHandleTest, WhenNobodyDestroysTheGraphTheProcessEndsWithTheReason) {
  auto handle = make(/*last_resort=*/300ms);
  tests::set_fake_nccl({.abort_waits_for_graph = true, .graphs = 1});
  const auto start = Clock::now();
  handle->abort("all_reduce waited 100 s");
  handle.reset();  // waits for the last resort, not for ever
  EXPECT_LT(seconds_since(start), 10);
  EXPECT_TRUE(ended_);
  EXPECT_EQ(ended_with_, "all_reduce waited 100 s");
}

TEST_F(NcclHandleTest, AnEndThatHangsIsAborted) {
  auto handle = make();
  tests::set_fake_nccl({.hangs = true});
  const auto start = Clock::now();
  handle.reset();
  EXPECT_LT(seconds_since(start), 5);
  EXPECT_THAT(tests::fake_nccl_calls(), ElementsAre("init", "finalize", "abort", "abort ended"));
}

TEST_F(NcclHandleTest, UnwindingAbortsInsteadOfWaitingForPeers) {
  try {
    const auto handle = make();
    tests::set_fake_nccl({.hangs = true});
    throw std::runtime_error("the program ends");
  } catch (const std::runtime_error&) {
  }
  EXPECT_THAT(tests::fake_nccl_calls(), ElementsAre("init", "abort", "abort ended"));
}

}  // namespace
}  // namespace diffprob::dist

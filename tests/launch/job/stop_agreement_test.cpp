#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "dist/mpi/host_collectives.h"
#include "launch/job/signals.h"

namespace diffprob::launch {
namespace {

/// Step at which this rank stopped.
int run_steps(StopAgreement& stop, int steps, int signal_at, bool here) {
  for (int step = 0; step < steps; ++step) {
    if (step == signal_at && here) ::raise(SIGUSR1);
    if (stop.agreed()) return step;
  }
  return steps;
}

TEST(StopAgreement, ASignalOnAnyOneRankStopsAllAtTheStepAfter) {
  dist::HostCollectives control;
  for (int victim = 0; victim < control.world_size(); ++victim) {
    const SignalGuard guard;
    StopAgreement stop(0, control);
    EXPECT_EQ(run_steps(stop, 10, 3, control.rank() == victim), 4);
    EXPECT_EQ(stop.reason(), "SIGUSR1");
  }
}

TEST(StopAgreement, WithoutASignalNobodyStops) {
  dist::HostCollectives control;
  const SignalGuard guard;
  StopAgreement stop(0, control);
  EXPECT_EQ(run_steps(stop, 10, -1, false), 10);
}

TEST(StopAgreement, TheTimeIsOverForAllAtOnce) {
  dist::HostCollectives control;
  const SignalGuard guard;
  StopAgreement stop(1e-3, control);  // of the process: long over
  if (control.rank() == control.world_size() - 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(run_steps(stop, 5, -1, false), 1);
  EXPECT_EQ(stop.reason(), "train.max_time");
  StopAgreement later(1e6, control);
  EXPECT_EQ(run_steps(later, 5, -1, false), 5);
}

}  // namespace
}  // namespace diffprob::launch

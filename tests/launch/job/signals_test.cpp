#include "launch/job/signals.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

namespace diffprob::launch {
namespace {

class Signals : public ::testing::TestWithParam<int> {};

TEST_P(Signals, TheFirstOnlySetsAFlag) {
  const SignalGuard guard;
  EXPECT_EQ(SignalGuard::received(), 0);
  ::raise(GetParam());
  EXPECT_EQ(SignalGuard::received(), GetParam());
}

TEST_P(Signals, TheSecondEndsAtOnceWithItsNumber) {
  const SignalGuard guard;
  const auto twice = [] {
    ::raise(SIGUSR1);
    ::raise(GetParam());
    std::exit(0);
  };
  EXPECT_EXIT(twice(), ::testing::ExitedWithCode(128 + GetParam()), "second signal");
}

TEST_P(Signals, AfterTheGuardAllIsAsBefore) {
  const auto unguarded = [] {
    std::signal(GetParam(), SIG_DFL);  // what a shell starts in the background ignores SIGINT
    { const SignalGuard guard; }
    ::raise(GetParam());
    std::exit(0);
  };
  EXPECT_EXIT(unguarded(), ::testing::KilledBySignal(GetParam()), "");
}

TEST(SignalsAnew, AGuardStartsWithoutASignal) {
  {
    const SignalGuard guard;
    ::raise(SIGTERM);
  }
  const SignalGuard guard;
  EXPECT_EQ(SignalGuard::received(), 0);
}

TEST(Hangup, SetsTheFlagAndMayComeAgain) {
  const auto stopped = [] {
    std::signal(SIGHUP, SIG_DFL);
    const SignalGuard guard;
    ::raise(SIGHUP);
    ::raise(SIGHUP);
    std::exit(SignalGuard::received() == SIGHUP ? 7 : 0);
  };
  EXPECT_EXIT(stopped(), ::testing::ExitedWithCode(7), "");
}

TEST(Hangup, StaysIgnoredUnderNohup) {
  const auto under_nohup = [] {
    std::signal(SIGHUP, SIG_IGN);
    const SignalGuard guard;
    ::raise(SIGHUP);
    std::exit(SignalGuard::received() == 0 ? 7 : 0);
  };
  EXPECT_EXIT(under_nohup(), ::testing::ExitedWithCode(7), "");
}

TEST(BrokenPipe, DoesNotEndATraining) {
  const auto piped = [] {
    std::signal(SIGPIPE, SIG_DFL);
    const SignalGuard guard;
    ::raise(SIGPIPE);
    std::exit(SignalGuard::received() == 0 ? 7 : 0);
  };
  EXPECT_EXIT(piped(), ::testing::ExitedWithCode(7), "");
}

INSTANTIATE_TEST_SUITE_P(All, Signals, ::testing::Values(SIGTERM, SIGUSR1, SIGINT));

}  // namespace
}  // namespace diffprob::launch

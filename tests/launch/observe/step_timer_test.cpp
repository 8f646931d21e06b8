// Time split of a step, memory figures and the profiler's trace.
#include "launch/observe/step_timer.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "launch/observe/memory_use.h"
#include "launch/observe/profile_trace.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::launch {
namespace {

double part(const StepTimes& times, StepPhase phase) {
  return times.phase[static_cast<std::size_t>(phase)];
}

TEST(StepTimer, AddsUpPhasesAndDividesBySteps) {
  double now = 50;
  StepTimer timer(c10::kCPU, [&now] { return now; });
  const auto spend = [&](StepPhase phase, double milliseconds) {
    timer.enter(phase);
    now += milliseconds / 1000;
  };
  for (int step = 0; step < 2; ++step) {
    spend(StepPhase::kDataWait, 4);
    spend(StepPhase::kForward, 10);
    spend(StepPhase::kBackward, 20 + 10 * step);
    spend(StepPhase::kForward, 6);  // a phase that comes twice (gradient accumulation)
    spend(StepPhase::kCommunication, 1);
    spend(StepPhase::kOptimizer, 2);
    timer.end_step();
    now += 7;  // between steps: nobody's time
  }

  const StepTimes times = timer.take();

  EXPECT_EQ(times.steps, 2);
  EXPECT_NEAR(part(times, StepPhase::kDataWait), 4, 1e-9);
  EXPECT_NEAR(part(times, StepPhase::kForward), 16, 1e-9);
  EXPECT_NEAR(part(times, StepPhase::kHead), 0, 1e-9);
  EXPECT_NEAR(part(times, StepPhase::kBackward), 25, 1e-9);
  EXPECT_NEAR(part(times, StepPhase::kCommunication), 1, 1e-9);
  EXPECT_NEAR(part(times, StepPhase::kOptimizer), 2, 1e-9);
  EXPECT_NEAR(times.step, 48, 1e-9);
}

TEST(StepTimer, TakenTimesAreGoneAndAnOpenStepCountsWhereItEnds) {
  double now = 0;
  StepTimer timer(c10::kCPU, [&now] { return now; });
  EXPECT_EQ(timer.take().steps, 0);
  EXPECT_EQ(timer.take().step, 0);
  timer.end_step();  // of nothing
  timer.enter(StepPhase::kForward);
  now += 0.5;
  EXPECT_EQ(timer.take().steps, 0);
  timer.drop();
  now += 100;  // a checkpoint
  timer.enter(StepPhase::kForward);
  now += 0.25;
  timer.end_step();
  const StepTimes times = timer.take();
  EXPECT_EQ(times.steps, 1);
  EXPECT_NEAR(part(times, StepPhase::kForward), 750, 1e-9);
  EXPECT_EQ(timer.take().steps, 0);
}

TEST(StepTimer, EveryPhaseHasItsOwnName) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < kPhases; ++i) names.insert(phase_name(static_cast<StepPhase>(i)));
  EXPECT_EQ(names.size(), kPhases);
  EXPECT_STREQ(phase_name(StepPhase::kDataWait), "data_wait");
  EXPECT_STREQ(phase_name(StepPhase::kOptimizer), "optimizer");
}

TEST(MemoryUse, PeakHoldsWhatWasTouched) {
  const MemoryUse before = memory_use(c10::kCPU);
  ASSERT_GT(before.host, 0);
  {
    const std::vector<char> block(300 << 20, 1);
    EXPECT_EQ(block[1000], 1);
    EXPECT_GE(memory_use(c10::kCPU).host, before.host + (290 << 20));
  }
  const MemoryUse after = memory_use(c10::kCPU);
  EXPECT_GE(after.host_peak, before.host + (290 << 20));
  EXPECT_LT(after.host, before.host + (100 << 20));
  EXPECT_EQ(after.device_peak, 0);
  reset_device_peak(c10::kCPU);
}

std::multiset<std::string> names_in(const nlohmann::json& trace) {
  std::multiset<std::string> names;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.value("ph", "") == "X") names.insert(event.value("name", ""));
  }
  return names;
}

nlohmann::json read_trace(const std::string& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

TEST(ProfileTrace, HoldsTheOperatorsOfTheStepsAskedFor) {
  const tests::ScratchFolder folder;
  const std::string path = folder.file("trace.json");
  ProfileTrace profile({.path = path, .first_step = 3, .steps = 2}, c10::kCPU);
  auto weight = torch::ones({8, 8}, torch::requires_grad());
  for (int step = 0; step < 8; ++step) {
    profile.before_step(step);
    EXPECT_EQ(std::filesystem::exists(path), step >= 5) << step;
    auto loss = torch::mm(weight, weight).sum();
    if (step == 4) loss = loss + torch::cumsum(weight, 0).sum();
    if (step == 5) loss = loss + torch::erfinv(weight * 0.1).sum();
    loss.backward();
  }
  EXPECT_TRUE(profile.finish());

  const auto names = names_in(read_trace(path));

  EXPECT_EQ(names.count("aten::cumsum"),
            2u);  // in the steps that were traced: forward and backward
  EXPECT_EQ(names.count("aten::erfinv"), 0u);   // after them
  EXPECT_GE(names.count("aten::mm"), 2u * 3u);  // forward, and twice in backward
  EXPECT_EQ(names.count("step 3"), 1u);
  EXPECT_EQ(names.count("step 4"), 1u);
  EXPECT_EQ(names.count("step 5"), 0u);
}

TEST(ProfileTrace, ShortRunsKeepWhatThereIs) {
  const tests::ScratchFolder folder;
  const std::string path = folder.file("trace.json");
  {
    ProfileTrace profile({.path = path, .first_step = 0, .steps = 100}, c10::kCPU);
    profile.before_step(7);  // resumed past first_step
    torch::mm(torch::ones({4, 4}), torch::ones({4, 4}));
    EXPECT_TRUE(profile.finish());
    EXPECT_TRUE(profile.finish());
    profile.before_step(8);  // does not start again
  }
  EXPECT_EQ(names_in(read_trace(path)).count("aten::mm"), 1u);

  std::filesystem::remove(path);
  {
    ProfileTrace unfinished({.path = path, .first_step = 0, .steps = 2}, c10::kCPU);
    unfinished.before_step(0);
  }
  ProfileTrace off({.path = path}, c10::kCPU);
  off.before_step(0);
  EXPECT_FALSE(off.finish());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace diffprob::launch

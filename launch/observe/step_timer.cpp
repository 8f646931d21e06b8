#include "launch/observe/step_timer.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

namespace diffprob::launch {
namespace {

constexpr int kEnd = -1;

}  // namespace

const char* phase_name(StepPhase phase) {
  static constexpr std::array<const char*, kPhases> kNames = {
      "data_wait", "forward", "head", "backward", "communication", "optimizer", "replay"};
  return kNames[static_cast<std::size_t>(phase)];
}

StepTimer::StepTimer(c10::Device device, std::function<double()> seconds)
    : device_(device), seconds_(std::move(seconds)) {}

StepTimer::~StepTimer() = default;

void StepTimer::enter(StepPhase phase) {
  if (recording_) return;
  current_.push_back(mark(static_cast<int>(phase)));
}

void StepTimer::end_step() {
  if (current_.empty()) return;
  current_.push_back(mark(kEnd));
  pending_.push_back(std::exchange(current_, {}));
  collect_passed();
}

void StepTimer::drop() {
  if (!current_.empty()) current_.push_back(mark(kEnd));
}

StepTimes StepTimer::take() {
  if (!pending_.empty() && pending_.back().back().event)
    pending_.back().back().event->synchronize();
  collect_passed();
  StepTimes times{steps_, sums_, 0};
  for (double& milliseconds : times.phase) {
    if (steps_ > 0) milliseconds /= static_cast<double>(steps_);
    times.step += milliseconds;
  }
  steps_ = 0;
  sums_ = {};
  return times;
}

StepTimer::Mark StepTimer::mark(int phase) {
  if (device_.is_cpu()) return {phase, seconds_(), std::nullopt};
  if (spare_.empty()) spare_.emplace_back(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  c10::Event event = std::move(spare_.back());
  spare_.pop_back();
  event.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  return {phase, 0, std::move(event)};
}

void StepTimer::collect_passed() {
  // The last mark's event: when the device has passed it, it has passed all of the step.
  while (!pending_.empty() &&
         (!pending_.front().back().event || pending_.front().back().event->query())) {
    add(pending_.front());
    pending_.pop_front();
  }
}

void StepTimer::add(Step& step) {
  for (std::size_t i = 0; i + 1 < step.size(); ++i) {
    if (step[i].phase == kEnd) continue;
    const double milliseconds = step[i].event ? step[i].event->elapsedTime(*step[i + 1].event)
                                              : 1000 * (step[i + 1].seconds - step[i].seconds);
    sums_[static_cast<std::size_t>(step[i].phase)] += milliseconds;
  }
  for (auto& entry : step) {
    if (entry.event) spare_.push_back(std::move(*entry.event));
  }
  ++steps_;
}

}  // namespace diffprob::launch

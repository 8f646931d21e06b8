#include "launch/job/run_ahead.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <stdexcept>

#include "dist/mpi/backoff.h"

namespace diffprob::launch {

RunAhead::RunAhead(c10::Device device, std::chrono::milliseconds patience)
    : device_(device), patience_(patience) {
  if (device.is_cpu()) return;
  for (auto& end : ends_) end.emplace(device.type());
}

void RunAhead::wait(const std::function<void()>& meanwhile) {
  if (device_.is_cpu()) return;
  dist::Backoff backoff;
  while (!ends_[oldest_]->query()) {
    meanwhile();
    if (backoff.pause() < patience_) continue;
    throw std::runtime_error(fmt::format("{} has not done a training step in {:.0f} s",
                                         device_.str(),
                                         std::chrono::duration<double>(patience_).count()));
  }
}

void RunAhead::mark() {
  if (device_.is_cpu()) return;
  ends_[oldest_]->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  oldest_ = (oldest_ + 1) % kSteps;
}

}  // namespace diffprob::launch

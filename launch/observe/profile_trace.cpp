#include "launch/observe/profile_trace.h"

#include <ATen/record_function.h>
#include <spdlog/spdlog.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <optional>
#include <set>

#include "data/files/atomic_file.h"

namespace diffprob::launch {
namespace {

namespace kineto = torch::profiler::impl;

std::set<kineto::ActivityType> activities_of(c10::Device device) {
  std::set<kineto::ActivityType> activities = {kineto::ActivityType::CPU};
  if (device.is_cuda()) activities.insert(kineto::ActivityType::CUDA);
  return activities;
}

}  // namespace

struct ProfileTrace::Running {
  explicit Running(c10::Device device) {
    const kineto::ProfilerConfig config(kineto::ProfilerState::KINETO, /*report_input_shapes=*/true,
                                        /*profile_memory=*/true);
    const auto activities = activities_of(device);
    torch::autograd::profiler::prepareProfiler(config, activities);
    torch::autograd::profiler::enableProfiler(config, activities);
  }
  ~Running() {
    if (!on) return;
    span.reset();
    try {
      (void)torch::autograd::profiler::disableProfiler();
    } catch (const std::exception& error) {
      spdlog::warn("profiler: {}", error.what());
    }
  }
  std::unique_ptr<torch::autograd::profiler::ProfilerResult> stop() {
    span.reset();
    on = false;
    return torch::autograd::profiler::disableProfiler();
  }
  void begin_step(std::int64_t step) {
    span.reset();
    span.emplace(at::RecordScope::USER_SCOPE);
    span->before("step " + std::to_string(step));
    ++steps;
  }

  bool on = true;
  std::int64_t steps = 0;
  std::optional<at::RecordFunction> span;
};

ProfileTrace::ProfileTrace(ProfileOptions options, c10::Device device)
    : options_(std::move(options)), device_(device) {}

ProfileTrace::~ProfileTrace() = default;

void ProfileTrace::before_step(std::int64_t step) {
  if (written_ || options_.steps <= 0 || step < options_.first_step) return;
  if (running_ && running_->steps == options_.steps) {
    finish();
    return;
  }
  if (!running_) running_ = std::make_unique<Running>(device_);
  running_->begin_step(step);
}

bool ProfileTrace::finish() {
  if (!running_) return written_;
  const auto result = running_->stop();
  running_.reset();
  data::AtomicFile file(options_.path);
  result->save(file.temporary_path());
  file.commit();
  written_ = true;
  return true;
}

}  // namespace diffprob::launch

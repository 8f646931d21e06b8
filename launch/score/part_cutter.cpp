#include "launch/score/part_cutter.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <utility>

namespace diffprob::launch {
namespace {

constexpr double kPartSeconds = 60;

}  // namespace

PartCutter::PartCutter(std::string what, const std::vector<prune::SampleRange>& batches,
                       PartLength length, double max_time, Runtime& runtime)
    : what_(std::move(what)),
      batches_(batches),
      length_(length),
      runtime_(runtime),
      stop_(max_time, runtime.control()),
      samples_(std::max<std::int64_t>(1, length.samples)) {}

bool PartCutter::ends() {
  const prune::SampleRange& batch = batches_[next_];
  if (last_ == first_) first_ = batch.first;
  last_ = batch.last;
  ++next_;
  const bool gap = next_ == batches_.size() || batches_[next_].first != batch.last;
  stopped_ = next_ < batches_.size() && stop_.agreed();
  return last_ - first_ >= samples_ || gap || stopped_;
}

void PartCutter::written() {
  if (stopped_)
    throw Stopped(
        fmt::format("{}: stopped by {} with {} of {} batches remaining; the others are saved",
                    what_, stop_.reason(), batches_.size() - next_, batches_.size()));
  if (length_.samples == 0 && next_ < batches_.size()) samples_ = next_length();
  first_ = last_;
  start_ = Clock::now();
}

/// As many samples as rank 0 would finish in a minute.
std::int64_t PartCutter::next_length() const {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double samples =
      kPartSeconds * static_cast<double>(last_ - first_) / std::max(seconds, 1e-6);
  const auto own =
      static_cast<std::int64_t>(std::clamp(samples, 1.0, static_cast<double>(length_.most)));
  return runtime_.control().all_reduce(runtime_.is_root() ? own : std::int64_t{0},
                                       dist::ReduceOp::kMax);
}

}  // namespace diffprob::launch

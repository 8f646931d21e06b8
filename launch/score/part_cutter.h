#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "launch/job/runtime.h"
#include "launch/job/signals.h"
#include "prune/tables/sample_range.h"

namespace diffprob::launch {

/// How long a part on disk may get.
struct PartLength {
  std::int64_t samples = 0;  ///< it ends with the batch that reaches them; 0: a minute of work
  std::int64_t most = 262144;
};

/// Cuts work over global batches into parts that are written one after the other, and ends it after
/// a part when a signal or train.max_time asks for it.
class PartCutter {
 public:
  /// Collective. `what`: the work, for messages. `batches` must outlive it.
  PartCutter(std::string what, const std::vector<prune::SampleRange>& batches, PartLength length,
             double max_time, Runtime& runtime);

  /// After each batch, in order: whether part() ends with it. Collective.
  [[nodiscard]] bool ends();
  [[nodiscard]] prune::SampleRange part() const { return {first_, last_}; }
  /// After part() was written. Collective. Throws Stopped when the work is to end here.
  void written();

 private:
  [[nodiscard]] std::int64_t next_length() const;

  using Clock = std::chrono::steady_clock;
  std::string what_;
  const std::vector<prune::SampleRange>& batches_;
  PartLength length_;
  Runtime& runtime_;
  StopAgreement stop_;
  std::size_t next_ = 0;  ///< of batches_
  std::int64_t samples_;  ///< of the part that is being made, in full
  std::int64_t first_ = 0;
  std::int64_t last_ = 0;
  bool stopped_ = false;
  Clock::time_point start_ = Clock::now();
};

}  // namespace diffprob::launch

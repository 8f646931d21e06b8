#pragma once

#include <cstdint>

namespace diffprob::launch {

/// How far a training is. The same on every rank.
struct TrainingProgress {
  std::int64_t epochs = 0;           ///< of the whole training
  std::int64_t steps_per_epoch = 0;  ///< global batches per epoch
  std::int64_t epoch = 0;            ///< finished epochs
  std::int64_t batch = 0;            ///< batches of the current epoch already trained on
  double seconds = 0;                ///< of training up to the last log line, over all restarts
  std::int64_t skipped = 0;          ///< updates skipped so far, over all restarts

  [[nodiscard]] std::int64_t step() const { return epoch * steps_per_epoch + batch; }
  [[nodiscard]] std::int64_t all_steps() const { return epochs * steps_per_epoch; }
  /// Returns true after the last batch of an epoch, until next_epoch().
  [[nodiscard]] bool at_end_of_epoch() const { return batch == steps_per_epoch; }
  void next_epoch() {
    ++epoch;
    batch = 0;
  }
};

}  // namespace diffprob::launch

#pragma once

#include <algorithm>
#include <cstdint>

namespace diffprob::launch {

/// How far a training is. The same on every rank.
///
/// The place in the epochs decides what is trained on and at which rate. The number of updates
/// names checkpoints and log lines, and never falls: a training that goes on with a larger batch
/// has fewer updates per epoch, so that its place counts less than before. Epochs that leave
/// samples out have fewer updates too, and as much of the schedule as others.
struct TrainingProgress {
  std::int64_t epochs = 0;           ///< of the whole training
  std::int64_t steps_per_epoch = 0;  ///< global batches per epoch
  std::int64_t epoch = 0;            ///< finished epochs
  std::int64_t batch = 0;            ///< batches of the current epoch already trained on
  double seconds = 0;                ///< of training up to the last log line, over all restarts
  std::int64_t skipped = 0;          ///< updates skipped so far, over all restarts
  /// Global batches of this epoch where they are fewer than steps_per_epoch (train.prune); else 0.
  std::int64_t fewer_batches = 0;
  /// Updates done minus those that today's batch size and data set would have taken to this place.
  std::int64_t ahead = 0;

  [[nodiscard]] std::int64_t batches() const {
    return fewer_batches > 0 ? fewer_batches : steps_per_epoch;
  }
  /// Updates that the schedule counts: those of whole epochs with today's batch size. An epoch of
  /// fewer batches goes through them in larger steps.
  [[nodiscard]] std::int64_t place() const {
    return epoch * steps_per_epoch + batch * steps_per_epoch / batches();
  }
  /// Updates done, over all restarts.
  [[nodiscard]] std::int64_t step() const { return epoch * steps_per_epoch + batch + ahead; }
  /// As far as it is known: later epochs may have fewer batches.
  [[nodiscard]] std::int64_t all_steps() const {
    return epochs * steps_per_epoch + ahead - (steps_per_epoch - batches());
  }
  /// Sets the number of batches of the epoch that has just begun or is gone on with.
  void set_batches(std::int64_t count) {
    fewer_batches = count < steps_per_epoch ? count : 0;
    const std::int64_t done = step();
    batch = std::min(batch, batches());
    ahead += done - step();
  }
  /// Moves to `batches` batches of `old_size` samples after the start of `at_epoch`, in whole
  /// batches of `size`, rounded down, with `steps` updates done.
  void resume_at(std::int64_t at_epoch, std::int64_t batches, std::int64_t old_size,
                 std::int64_t size, std::int64_t steps) {
    epoch = at_epoch;
    batch = std::min(batches * old_size / size, steps_per_epoch);
    if (at_end_of_epoch()) next_epoch();
    ahead += steps - step();
  }
  /// Returns true after the last batch of an epoch, until next_epoch().
  [[nodiscard]] bool at_end_of_epoch() const { return batch == batches(); }
  void next_epoch() {
    ahead -= steps_per_epoch - batches();
    ++epoch;
    batch = 0;
    fewer_batches = 0;
  }
};

}  // namespace diffprob::launch

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/files/half.h"
#include "prune/tables/sample_range.h"
#include "prune/tables/score_table.h"

namespace diffprob::prune {

/// What a training forward pass says of one sample: 16 bytes. `index`: in the data set that is
/// trained on.
struct EpochRecord {
  std::uint32_t index = 0;
  float probability = 0;  ///< of the own label, 0 to 1, as the training pass computes it (with
                          ///< margin, training mode)
  float margin =
      0;  ///< log-probability of the own label minus that of the best other class; finite
  std::uint8_t correct = 0;  ///< 1: the most probable class without margin is the label; else 0
};

/// Equal parts in rank order.
[[nodiscard]] SampleRange samples_of_rank(std::int64_t num_samples, int rank, int world_size);

/// Each rank's records, of any samples -> the records of the samples of samples_of_rank, on their
/// owner. Collective. An index out of range is a PruneError on all ranks. What is missing or twice
/// is found by DynamicsAccumulator::add_epoch.
[[nodiscard]] std::vector<EpochRecord> exchange_epoch(std::span<const EpochRecord> own,
                                                      std::int64_t num_samples,
                                                      dist::HostCollectives& collectives);

/// Bytes of one column of a state; rows lie one after the other, so rows [a, b) of the column are
/// bytes [a, b) * bytes_per_sample.
struct DynamicsColumn {
  std::string name;
  std::size_t bytes_per_sample;
  std::span<std::byte> bytes;
};

/// Several visits of a sample in one epoch (sampling with replacement) -> one record: mean
/// probability and margin, correct when all were. Sorted by index; the same bits for any order of
/// the records.
[[nodiscard]] std::vector<EpochRecord> merge_visits(std::vector<EpochRecord> records);

/// All that is known after some epochs of the samples of one range; little-endian plain arrays, for
/// checkpoints. 4 * window + 37 bytes a sample, and 2 an epoch with a history. Another number of
/// ranks takes other row ranges of the same columns.
struct DynamicsState {
  DynamicsState() = default;
  /// Zeros of the right sizes. Throws PruneError unless 0 <= first <= last and window >= 2.
  DynamicsState(SampleRange range, std::int64_t window, std::int64_t epochs = 0);

  SampleRange range;
  std::int64_t window = 0;
  std::int64_t epochs = 0;              ///< seen so far
  std::vector<float> recent;            ///< [samples, window]: newest last; zeros before
  std::vector<double> probability_sum;  ///< [samples]
  std::vector<double> margin_sum;       ///< [samples]
  std::vector<double>
      uncertainty_sum;  ///< [samples]: over the windows that ended before the newest epoch
  std::vector<float> last_probability;  ///< [samples]
  std::vector<std::int32_t> forgotten;  ///< [samples]: times that correct turned wrong
  std::vector<std::int32_t> visits;     ///< [samples]: epochs that had the sample
  std::vector<std::uint8_t>
      learned;  ///< [samples]: bit 0: correct when last seen; bit 1: correct in any epoch

  /// -log p of every epoch so far as float16, NaN for a sample that the epoch did not have;
  /// [epochs] of [samples] with keeps_history, else empty.
  std::vector<std::vector<HalfBits>> history;
  bool keeps_history = false;
  /// Keeps every epoch from now on; those seen before are unknown.
  void start_history();

  /// Every column by name, in a fixed order, to write them or to read into them.
  [[nodiscard]] std::vector<DynamicsColumn> columns();
};
/// The samples of `range` from parts that together cover it (parts of the same window and epochs,
/// any order, none overlapping inside `range`). Throws PruneError naming the first sample that is
/// missing or twice.
[[nodiscard]] DynamicsState resplit(std::span<const DynamicsState> parts, SampleRange range);

/// Rows of the table of training dynamics: what is left of the epochs at the end. 33 bytes a
/// sample.
struct DynamicsRows {
  std::vector<double> mean_probability;  ///< over the epochs that had the sample
  std::vector<double> uncertainty;       ///< DynUnc; 0 when there are no windows (epochs <= window)
  std::vector<float> aum;                ///< area under the margin: mean margin
  std::vector<std::int32_t>
      forgetting;  ///< times that correct turned wrong; samples never correct: the number of epochs
  std::vector<float> last_probability;
  std::vector<std::uint8_t> last_correct;  ///< 0 or 1
  [[nodiscard]] std::size_t size() const { return mean_probability.size(); }
};

/// Training dynamics of the samples of one range, streamed: one call an epoch, never a samples x
/// epochs table. DynUnc as the paper's code has it: a buffer of the last `window` probabilities,
/// zeros at first; a probability of exactly 0 leaves the sample's buffer as it was; from epoch
/// window - 1 (0-based) to the last but one, 10 * the unbiased standard deviation of the buffer is
/// collected; the mean of these is the uncertainty. Which epoch is the last is not known while
/// streaming, so a window is collected when the next epoch comes. An epoch need not have every
/// sample: training drops the incomplete last batch, and draws with replacement leave samples out.
/// Such a sample's buffer stays as it was (its window is collected again, as with a probability of
/// 0); means are over the epochs that had it; forgetting compares with the last time it was seen.
class DynamicsAccumulator {
 public:
  static constexpr std::int64_t kWindow = 10;
  explicit DynamicsAccumulator(SampleRange range, std::int64_t window = kWindow);
  explicit DynamicsAccumulator(DynamicsState state);

  enum class Unvisited { kRefuse, kAllow };
  /// Keeps the probabilities of every epoch from now on.
  void keep_history() { state_.start_history(); }
  /// Each sample of the range exactly once (at most once with kAllow), in any order; else
  /// PruneError naming the first sample that is twice, missing or foreign, or the value that is NaN
  /// or out of range. Nothing changes then.
  void add_epoch(std::span<const EpochRecord> records, Unvisited unvisited = Unvisited::kRefuse);
  /// Samples that no epoch had, ascending.
  [[nodiscard]] std::vector<std::int64_t> never_visited() const;
  /// One visit outside the epochs for each of never_visited(): their rows are this record's;
  /// uncertainty 0. PruneError otherwise.
  void add_never_visited(std::span<const EpochRecord> records);
  [[nodiscard]] const DynamicsState& state() const { return state_; }
  /// Replaces what was seen. Throws PruneError when an array has not the size that range and window
  /// ask for.
  void restore(DynamicsState state);
  /// Of the epochs seen so far, at least one, that had every sample at least once; else PruneError.
  /// May be called at any epoch; the accumulator goes on.
  [[nodiscard]] DynamicsRows finish() const;

 private:
  void visit(const EpochRecord& record);
  [[nodiscard]] std::size_t row_of(const EpochRecord& record) const;

  DynamicsState state_;
};

/// Training dynamics of a whole data set: row i is sample i.
struct DynamicsTable {
  ScoreSource
      source;  ///< margin and scale of the training; model_fingerprint of the trained network
  std::int64_t epochs = 0;
  std::int64_t window = DynamicsAccumulator::kWindow;
  std::vector<std::int32_t> labels;  ///< [N]
  DynamicsRows rows;                 ///< [N]
  bool probabilities_alone = false;  ///< imported without margins and predictions: no rows of aum,
                                     ///< forgetting and last_correct
};

/// Rows of samples_of_rank -> rows of all samples on rank 0, no rows elsewhere. Collective.
[[nodiscard]] DynamicsRows gather_on_root(const DynamicsRows& own,
                                          dist::HostCollectives& collectives);

/// One column of samples_of_rank -> of all samples on rank 0, nothing elsewhere. Collective.
[[nodiscard]] std::vector<HalfBits> gather_on_root(std::span<const HalfBits> own,
                                                   dist::HostCollectives& collectives);

/// HDF5, documented in prune/tables/SCORES_FORMAT.md. Written whole or not at all, by one rank.
/// Both throw PruneError on wrong sizes, NaN and values out of range (rows named).
void write_dynamics(const std::string& path, const DynamicsTable& table);
[[nodiscard]] DynamicsTable read_dynamics(const std::string& path);

}  // namespace diffprob::prune

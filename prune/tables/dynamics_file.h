#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "prune/files/hdf5_matrix.h"
#include "prune/tables/dynamics.h"

namespace diffprob::prune {

inline constexpr const char* kDynamicsFormat = "diffprob-dynamics";
inline constexpr std::int64_t kDynamicsVersion = 1;

/// Throws PruneError, naming `where` and the first rows concerned, unless all columns have N rows,
/// labels are in [0, num_classes), probabilities in [0, 1], uncertainty is at least 0 and finite,
/// aum finite, forgetting 0 to epochs, last_correct 0 or 1.
void check_dynamics(const std::string& where, const DynamicsTable& table);

/// Attribute of files with a history (the number of its epochs), and the dataset of it.
inline constexpr const char* kHistoryEpochs = "history_epochs";
inline constexpr const char* kHistory = "nll_history";

/// Writes a file of training dynamics, and the history of its epochs one after the other. Throws
/// PruneError; without commit() no file appears.
class DynamicsWriter {
 public:
  enum class History { kNo, kYes };
  DynamicsWriter(const std::string& path, const DynamicsTable& table, History history);
  /// [N], -log p as float16; NaN for samples that the epoch did not have.
  void append_epoch(std::span<const HalfBits> nll);
  void commit();

 private:
  HdfWriter file_;
  std::unique_ptr<HdfMatrixWriter<HalfBits>> history_;
};

/// The history in a file of training dynamics, read in parts. Throws PruneError.
class DynamicsHistory {
 public:
  explicit DynamicsHistory(const std::string& path);
  [[nodiscard]] std::int64_t epochs() const noexcept {
    return static_cast<std::int64_t>(history_.rows());
  }
  [[nodiscard]] std::int64_t num_samples() const noexcept {
    return static_cast<std::int64_t>(history_.columns());
  }
  /// Probabilities of samples [first, first + n) in an epoch; NaN: the epoch did not have it.
  void read(std::int64_t epoch, std::int64_t first, std::span<float> probabilities) const;
  /// DynUnc of a range of samples over windows of any length below the number of epochs.
  [[nodiscard]] std::vector<double> uncertainty(SampleRange range, std::int64_t window) const;

 private:
  std::string path_;
  HdfReader file_;
  HdfMatrixReader<HalfBits> history_;
};

}  // namespace diffprob::prune

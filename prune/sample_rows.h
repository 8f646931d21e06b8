#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "prune/files/hdf5_file.h"
#include "prune/methods/key.h"
#include "prune/prune_options.h"
#include "prune/tables/dynamics_file.h"
#include "prune/tables/row_problems.h"
#include "prune/tables/score_table.h"

namespace diffprob::prune {

/// Rows of the files of a pruning, the columns that one pruning needs and no others. Values that
/// are NaN or out of range are collected: throw_if_bad() names their rows. Everything else that is
/// wrong throws PruneError at once.
class SampleRows {
 public:
  /// Opens what the options need. Throws PruneError when a file is missing, malformed, of another
  /// data set than the other, or cannot give what the options ask for (margin-free probabilities
  /// from a file that was scored with a margin).
  SampleRows(const PruneFiles& files, const PruneOptions& options);

  [[nodiscard]] const ScoreSource& source() const { return source_; }
  [[nodiscard]] std::int64_t num_samples() const { return samples_; }

  enum class KeyType { kNone, kFloat, kDouble };
  [[nodiscard]] KeyType key_type() const;

  /// Rows [first, first + n) of a column, n the size of the output. labels out of range throw at
  /// once.
  void read_labels(std::int64_t first, std::span<std::int32_t> labels) const;
  void read_top1(std::int64_t first, std::span<std::int32_t> top1);
  void read_log_probs(std::int64_t first, std::span<float> top1_log_prob,
                      std::span<float> own_log_prob);
  void read_second_log_prob(std::int64_t first, std::span<float> second_log_prob);
  /// Whether the file tells how many labels look wrong: probabilities without margin of all
  /// samples.
  [[nodiscard]] bool can_estimate_noise() const;
  /// What is shown of mispredicted samples: values as they are, NaN where the file has none.
  void read_suspicion(std::int64_t first, std::span<float> nll,
                      std::span<float> top1_log_prob) const;
  /// What the method sorts by: -log p of the own label (diffprob, default preset, score file), or
  /// the value of which the largest come first.
  void read_keys(std::int64_t first, std::span<float> keys);
  void read_keys(std::int64_t first, std::span<double> keys);
  [[nodiscard]] bool keys_are_nll() const { return key_ == Key::kNll; }
  void throw_if_bad() const { problems_.throw_if_any(where()); }

 private:
  void open_scores(const std::string& path, const PruneOptions& options);
  /// Opens the score files of a folder; returns the path of the newest.
  [[nodiscard]] std::string open_folder(const std::string& folder);
  void check_same_pass(const std::string& folder, const HdfReader& other) const;
  void read_mean(std::int64_t first, std::span<double> keys) const;
  void open_dynamics(const std::string& path, const PruneOptions& options);
  void choose_window(const PruneOptions& options, std::int64_t epochs);
  void check_data_set() const;
  void need_columns(const PruneOptions& options) const;
  void need_no_margin(const std::string& what) const;
  void need_estimate() const;
  void need_known_scores(const PruneOptions& options) const;
  /// Puts 0 in place of the unknown keys, NaN, of samples that cleaning has dropped.
  void fill_unknown(std::int64_t first, std::span<float> keys) const;
  [[nodiscard]] bool is_of_labels() const { return !scores_ && !dynamics_; }
  [[nodiscard]] const HdfReader& label_file() const { return scores_ ? *scores_ : *dynamics_; }
  [[nodiscard]] std::string where() const;
  template <class T>
  void read(const HdfReader& file, const char* name, std::int64_t first, std::span<T> values) const;
  void bad(std::int64_t row, const char* name, double value, const char* expected);

  Key key_;
  bool negate_;  // the smallest come first
  PruneFiles files_;
  std::optional<HdfReader> scores_;   ///< of a folder the newest
  std::deque<HdfReader> all_scores_;  ///< of a folder
  std::optional<HdfReader> dynamics_;
  std::optional<DynamicsHistory> history_;  ///< when the uncertainty must be computed
  std::int64_t window_ = 0;                 ///< of history_
  ScoreSource source_;
  std::int64_t samples_ = 0;
  bool has_unknown_scores_ = false;
  bool has_top1_log_prob_ = true;
  RowProblems problems_;
};

}  // namespace diffprob::prune

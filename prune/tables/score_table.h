#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "prune/tables/score_columns.h"

namespace diffprob::prune {

/// All that one distributed scoring pass records of a sample: 40 bytes. nll and probability use the
/// margin of the pass, the rest is margin-free.
struct ScoreRecord {
  std::uint32_t index = 0;  ///< in the scored data set
  float nll = 0;            ///< -log p of the own label
  float probability = 0;    ///< p of the own label
  std::int32_t top1 = 0;    ///< most probable class
  float top1_log_prob = 0;
  float second_log_prob = 0;
  float sum_p2 = 0;   ///< sum over classes of p^2
  float entropy = 0;  ///< nats
  float cosine = 0;   ///< to the centre of the own class
  float norm = 0;     ///< of the embedding
};
static_assert(sizeof(ScoreRecord) == 40);

/// top1 of a sample that is known to be mispredicted, but not as which class: a mark of imported
/// scores, in tables that have the column top1. nll and probability of such a sample are NaN.
inline constexpr std::int32_t kUnknownClass = -1;

/// Where scores come from: pruning refuses scores of another data set.
struct ScoreSource {
  std::string dataset_fingerprint;
  std::string model_fingerprint;  ///< SHA-256 of the weights, or "" when unknown
  double margin = 0;              ///< used for nll and probability; NaN when unknown
  double scale = 64;
  std::string config;  ///< effective configuration, YAML
  std::int64_t num_classes = 0;
  std::string part_of{};  ///< fingerprint of the whole data set when this one is a part of it
};

/// Scores of a whole data set: records[i] is sample i, labels[i] its identity.
struct ScoreTable {
  ScoreSource source;
  std::vector<ScoreRecord> records;  ///< [N], records[i].index == i
  std::vector<std::int32_t> labels;  ///< [N]
  ScoreColumns columns{};            ///< those that were recorded; the others are NaN, top1 -1
};

/// Returns the number of samples whose score is unknown (kUnknownClass).
[[nodiscard]] std::int64_t unknown_scores(const ScoreTable& table);

/// Records in any order -> in index order. Every sample must come exactly once.
class ScoreTableBuilder {
 public:
  explicit ScoreTableBuilder(std::int64_t num_samples);
  /// `from`: where they come from, for messages. Throws PruneError on an index out of range or a
  /// sample that came before.
  void add(std::span<const ScoreRecord> records, const std::string& from);
  /// [num_samples]; once. Throws PruneError naming the first sample that did not come.
  [[nodiscard]] std::vector<ScoreRecord> take();

 private:
  std::vector<ScoreRecord> records_;
  std::vector<bool> seen_;
};

/// HDF5, documented in prune/tables/SCORES_FORMAT.md. Written whole or not at all (temporary name,
/// fsync, rename), one rank.
void write_scores(const std::string& path, const ScoreTable& table);
/// Throws PruneError on anything malformed: wrong shapes, a newer format, NaN or probabilities
/// outside [0, 1] (rows named).
[[nodiscard]] ScoreTable read_scores(const std::string& path);

}  // namespace diffprob::prune

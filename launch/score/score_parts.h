#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "launch/score/sample_parts.h"
#include "prune/tables/score_table.h"

namespace diffprob::launch {

/// What the records of a scoring depend on.
struct ScorePlan {
  std::int64_t num_samples = 0;
  std::string dataset_fingerprint;
  std::string model_fingerprint;
  double margin = 0;
  double scale = 64;
  std::string settings;  ///< whatever else, as text
};

/// A scoring on disk, part by part (SampleParts).
class ScoreParts {
 public:
  /// Collective; as SampleParts.
  ScoreParts(std::string folder, const ScorePlan& plan, dist::HostCollectives& control);

  [[nodiscard]] std::vector<prune::SampleRange> missing() const { return parts_.missing(); }
  [[nodiscard]] std::int64_t samples_done() const { return parts_.samples_done(); }
  /// As SampleParts::write.
  void write(prune::SampleRange samples, std::span<const prune::ScoreRecord> records);
  /// The whole table in index order on rank 0, empty elsewhere. Collective. Throws PruneError on a
  /// sample that is missing or twice, and c10::Error on a file that is not whole any more, on rank
  /// 0.
  [[nodiscard]] std::vector<prune::ScoreRecord> read_all();
  void remove() { parts_.remove(); }

 private:
  std::int64_t num_samples_;
  dist::HostCollectives& control_;
  SampleParts parts_;
};

}  // namespace diffprob::launch

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dist/host_collectives.h"
#include "prune/diffprob.h"
#include "prune/index_set.h"
#include "prune/random.h"
#include "prune/score_table.h"
#include "prune/threshold_search.h"

namespace diffprob::prune {

struct PruneOptions {
  std::string method = "diffprob";   ///< "diffprob", "random" or "none" (cleaning alone)
  bool clean = true;                 ///< drop mispredicted samples first
  std::optional<double> keep_ratio;  ///< of all N samples; diffprob: threshold is searched. random: fraction
  DiffProbOptions diffprob;
  RandomOptions random;
};

struct PruneResult {
  PruneOptions options;     ///< as given, but for the threshold or fraction that a keep_ratio led to
  std::int64_t usable = 0;  ///< samples left after cleaning
  IndexSet index_set;
  std::optional<ThresholdSearch> search;
  std::int64_t mislabelled = 0;
  std::int64_t redundant = 0;
  std::int64_t kept_by_floor = 0;
  std::int64_t identities_before = 0;
  std::int64_t identities_after = 0;
  std::vector<std::int64_t> vanished;  ///< old labels
};

/// The whole pruning of one score table, identities split over the ranks, results gathered: the same on every rank and for any
/// number of ranks. Collective; `table` and `options` are the same on all ranks. Throws PruneError, on all ranks together.
[[nodiscard]] PruneResult prune(const ScoreTable& table, const PruneOptions& options, dist::HostCollectives& collectives);

/// summary.json of a pruning: counts, reasons, thresholds, curve, vanished identities.
void write_prune_summary(const std::string& path, const PruneResult& result, const ScoreTable& table);

}  // namespace diffprob::prune

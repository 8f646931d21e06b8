#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/clean_floor.h"
#include "prune/cleaning/noise_rate.h"
#include "prune/cleaning/precision.h"
#include "prune/fairness.h"
#include "prune/lists/index_set.h"
#include "prune/prune_options.h"
#include "prune/row_blocks.h"
#include "prune/select/identity_counts.h"
#include "prune/select/threshold_search.h"
#include "prune/tables/score_table.h"
#include "prune/tables/suspects.h"

namespace diffprob::prune {

/// A label that cleaning found on samples of another class.
struct Confusion {
  std::int32_t label = 0;
  std::int32_t top1 = 0;
  std::int64_t samples = 0;
};

/// What a pruning found. The first part is the same on every rank, the second is this rank's.
struct PruneResult {
  PruneOptions options;  ///< as given, but for the threshold or fraction that a keep_ratio led to
  ScoreSource source;    ///< of the scores (or the dynamics, when no scores were read)
  std::int64_t num_samples = 0;
  std::int64_t usable = 0;  ///< samples left after cleaning
  std::int64_t kept = 0;
  std::int64_t mislabelled = 0;
  std::int64_t redundant = 0;
  std::int64_t kept_by_floor = 0;
  std::optional<ThresholdSearch> search;
  std::int64_t identities_before = 0;
  std::int64_t identities_after = 0;
  std::int64_t identities_at_floor = 0;  ///< that are not above the floor, or keep samples by it
  /// Old labels of the identities that keep no sample, after cleaning or by the method; rising.
  std::vector<std::int64_t> vanished;
  std::vector<Confusion>
      confusions;         ///< the 100 most frequent; ties: smaller label, then smaller top1
  IdentityCounts counts;  ///< before pruning
  Fairness fairness;      ///< who loses by it
  std::optional<NoiseRate> noise;  ///< after cleaning of scores that tell it
  /// Of a rule of cleanlab: samples that the record leaves open (FoundIssues).
  std::optional<std::int64_t> open_evidence;
  std::optional<PrecisionChoice> precision;             ///< with prune.clean_precision
  std::optional<FloorKept> clean_floor;                 ///< with prune.clean_floor
  std::vector<std::pair<std::string, double>> seconds;  ///< wall time of each step (of this rank)

  RowBlocks blocks;                             ///< which samples this rank has the reasons of
  std::vector<Reason> own_reasons;              ///< [blocks.own_rows()]
  std::vector<Suspect> own_suspects;            ///< in order; none without cleaning
  std::vector<std::uint64_t> own_mispredicted;  ///< confusion_pair() of each, after cleaning
  IdentityRange own_identities;                 ///< that this rank decided
  std::vector<std::int32_t> kept_of_own;        ///< [own_identities]

  /// 0 when the method has none.
  [[nodiscard]] double threshold() const {
    if (search) return search->threshold;
    return options.method == Method::kDiffProb ? options.diffprob.threshold : 0;
  }
  /// Old label -> new label, or -1: dense from 0, increasing in the old label, over the identities
  /// that keep a sample.
  [[nodiscard]] std::vector<std::int64_t> label_map() const;
};

/// How the work is done; changes no result.
struct PruneWork {
  std::int64_t block_rows = RowBlocks::kRows;  ///< rows that a rank reads at once
  /// Called on every rank from time to time: step, done, total.
  std::function<void(std::string_view, std::int64_t, std::int64_t)> progress;
};

/// The whole pruning from files: rows are read in slices (only the columns that the method needs),
/// travel once to the rank that owns their identity, are decided there, and the reasons travel
/// back. The same result for any number of ranks. Collective; files and options are the same on all
/// ranks. Throws PruneError, on all ranks together.
[[nodiscard]] PruneResult prune(const PruneFiles& files, const PruneOptions& options,
                                dist::HostCollectives& collectives, const PruneWork& work = {});

/// Name of the list of mispredicted samples in the folder of a pruning.
inline constexpr const char* kSuspectsFile = "suspects.csv";
/// index_set.h5, kept_index.txt, label_map.txt, summary.json and, after cleaning, suspects.csv
/// (prune/tables/SCORES_FORMAT.md) in an existing folder. `describe`: names the samples in
/// suspects.csv, on rank 0; may be empty. `whole`: the data set was a part of another; the texts
/// are then in the numbers of the whole, and the index set carries both. Rank 0 writes the index
/// set and the summary, another one, if there is one, the texts. Collective; throws PruneError on
/// all ranks together.
void write_pruning(const std::string& folder, const PruneResult& result,
                   dist::HostCollectives& collectives,
                   const std::optional<WholeNumbers>& whole = std::nullopt,
                   const DescribeSample& describe = {});

}  // namespace diffprob::prune

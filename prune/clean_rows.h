#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "prune/clean_by_evidence.h"
#include "prune/clean_floor.h"
#include "prune/cleaning/noise_rate.h"
#include "prune/cleaning/precision.h"
#include "prune/tables/suspects.h"

namespace diffprob::prune {

/// What cleaning found. The first part is the same on every rank, the second is of its rows.
struct Cleaning {
  std::optional<NoiseRate> noise;             ///< of scores that tell it
  std::optional<std::int64_t> open_evidence;  ///< of a rule of cleanlab (FoundIssues)
  std::optional<PrecisionChoice> precision;   ///< with CleanOptions::precision
  std::optional<FloorKept> floor;             ///< with CleanOptions::floor

  std::vector<std::uint64_t> pairs;         ///< confusion_pair() of the dropped samples
  std::vector<std::uint64_t> mispredicted;  ///< the same of all mispredicted samples
  std::vector<Suspect> suspects;            ///< mispredicted samples, in order
};

/// Called after each block of rows: step, round from 0.
using CleaningProgress = std::function<void(std::string_view, std::int64_t)>;

/// Marks what the options say is mislabelled as kMislabelled, and what the floor leaves to its
/// identity as kKeptByFloor. Rows are read block after block, once; twice or three times with a
/// precision, a floor or a rule of cleanlab. The same result for any number of ranks. Collective;
/// throws PruneError on all ranks together.
[[nodiscard]] Cleaning clean_rows(SampleRows& file, const CleanedRows& rows,
                                  const CleanOptions& options, dist::HostCollectives& collectives,
                                  const CleaningProgress& progress);

}  // namespace diffprob::prune

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace diffprob::launch {

/// Fold of a sample that is in every training: the only sample of its identity, without which its
/// class would have none.
inline constexpr std::int32_t kEveryFold = -1;

/// Deals the samples of each identity to `folds` folds, in an order drawn by (seed, identity), so
/// that the folds of an identity differ by at most one sample. The same on every rank and for any
/// number of ranks. [N] of 0 to folds - 1, or kEveryFold.
[[nodiscard]] std::vector<std::int32_t> deal_folds(const data::Dataset& dataset, std::int64_t folds,
                                                   std::uint64_t seed);

/// Samples that a fold's network is trained on (all others), and those that it scores (the fold;
/// fold 0 has those of kEveryFold, too).
struct FoldParts {
  std::vector<std::int64_t> trained;
  std::vector<std::int64_t> scored;
};
[[nodiscard]] FoldParts parts_of_fold(const std::vector<std::int32_t>& folds, std::int32_t fold);

/// Puts the score files of the folds together into one of the whole data set. `scored`: the samples
/// of each file, in its order. Throws prune::PruneError. Rank 0 alone.
void merge_fold_scores(const data::Dataset& dataset, const std::vector<std::string>& files,
                       const std::vector<std::vector<std::int64_t>>& scored,
                       const std::string& path);

}  // namespace diffprob::launch

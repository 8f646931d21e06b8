#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "launch/report/scores.h"

namespace diffprob::launch {

/// An identity of a face sheet and why it was chosen.
struct ChosenIdentity {
  std::int64_t label = 0;
  std::string why;
};
/// Up to `each` identities of each kind, none twice: with the largest number pruned, with the
/// largest number cleaned away, and typical ones (kept share nearest to that of the whole set, then
/// size nearest to the median). Ties: the smaller label. The same for the same counts.
[[nodiscard]] std::vector<ChosenIdentity> choose_identities(
    const std::vector<IdentityOutcome>& identities, std::size_t each);

/// A kept image and pruned ones that come next by falling probability: for DiffProb its
/// near-duplicates.
struct FaceGroup {
  prune::ScoredSample kept;
  std::vector<prune::ScoredSample> pruned;
};
struct FaceSheet {
  ChosenIdentity identity;
  IdentityOutcome counts;
  std::vector<FaceGroup> groups;             ///< by falling probability
  std::vector<prune::ScoredSample> cleaned;  ///< by falling probability
  std::size_t shown() const;
};
struct SheetLimits {
  std::size_t groups = 7;  ///< evenly spaced over the ranking, those with pruned images preferred
  std::size_t pruned = 2;  ///< of a group
  std::size_t cleaned = 6;
};
/// `samples`: all of the identity, in any order.
[[nodiscard]] FaceSheet make_sheet(const ChosenIdentity& identity, const IdentityOutcome& counts,
                                   std::vector<prune::ScoredSample> samples,
                                   const SheetLimits& limits);

/// "0.0213"; close to 1, where digits run out, "1-3.2e-5".
[[nodiscard]] std::string probability_text(const prune::ScoredSample& sample);

}  // namespace diffprob::launch

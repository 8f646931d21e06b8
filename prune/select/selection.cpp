#include "prune/select/selection.h"

#include "prune/error.h"

namespace diffprob::prune {

std::string reason_name(Reason reason) {
  switch (reason) {
    case Reason::kKept:
      return "kept";
    case Reason::kRedundant:
      return "redundant";
    case Reason::kMislabelled:
      return "mislabelled";
    case Reason::kDuplicate:
      return "duplicate";
    case Reason::kKeptByFloor:
      return "kept_by_floor";
    case Reason::kUnreadable:
      return "unreadable";
    case Reason::kLeak:
      return "leak";
  }
  throw PruneError("unknown reason code " + std::to_string(static_cast<int>(reason)));
}

void check(const Floor& floor) {
  if (floor.min_kept < 1)
    throw PruneError("prune: min_kept is " + std::to_string(floor.min_kept) +
                     ", expected at least 1");
  if (!(floor.share >= 0 && floor.share <= 1)) {
    throw PruneError("prune: min_kept_share is " + std::to_string(floor.share) +
                     ", expected 0 to 1");
  }
}

IdentityRange identities_of_rank(std::span<const std::int64_t> begin, int rank, int world_size) {
  const auto identities = static_cast<std::int64_t>(begin.size()) - 1;
  const std::int64_t total = begin.back();
  const auto first_at = [&](int r) {
    if (r == world_size) return identities;
    const auto at = std::lower_bound(begin.begin(), begin.end() - 1, total * r / world_size);
    return static_cast<std::int64_t>(at - begin.begin());
  };
  return {first_at(rank), first_at(rank + 1)};
}

}  // namespace diffprob::prune

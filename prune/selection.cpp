#include "prune/selection.h"

#include <algorithm>

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
  }
  throw PruneError("unknown reason code " + std::to_string(static_cast<int>(reason)));
}

std::int64_t Selection::kept() const {
  return std::count_if(reasons.begin(), reasons.end(), is_kept);
}

std::vector<std::int64_t> Selection::kept_indices() const {
  std::vector<std::int64_t> indices;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (is_kept(reasons[i])) indices.push_back(static_cast<std::int64_t>(i));
  }
  return indices;
}

IdentityGroups::IdentityGroups(std::span<const std::int32_t> labels, std::int64_t num_classes)
    : begin(static_cast<std::size_t>(num_classes) + 1, 0), order(labels.size()) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || labels[i] >= num_classes) {
      throw PruneError("sample " + std::to_string(i) + " has label " + std::to_string(labels[i]) + ", expected 0 to " +
                       std::to_string(num_classes - 1));
    }
    ++begin[static_cast<std::size_t>(labels[i]) + 1];
  }
  for (std::size_t c = 1; c < begin.size(); ++c) begin[c] += begin[c - 1];
  std::vector<std::int64_t> next(begin.begin(), begin.end() - 1);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    order[static_cast<std::size_t>(next[static_cast<std::size_t>(labels[i])]++)] = static_cast<std::uint32_t>(i);
  }
}

IdentityRange identities_of_rank(const IdentityGroups& groups, int rank, int world_size) {
  const auto total = static_cast<std::int64_t>(groups.order.size());
  const auto first_at = [&](int r) {
    if (r == world_size) return groups.num_classes();
    const auto at = std::lower_bound(groups.begin.begin(), groups.begin.end() - 1, total * r / world_size);
    return static_cast<std::int64_t>(at - groups.begin.begin());
  };
  return {first_at(rank), first_at(rank + 1)};
}

}  // namespace diffprob::prune

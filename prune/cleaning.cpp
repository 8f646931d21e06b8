#include "prune/cleaning.h"

#include <string>

#include "prune/error.h"

namespace diffprob::prune {

void clean_mispredicted(std::span<const std::int32_t> top1, std::span<const std::int32_t> labels, std::span<Reason> reasons) {
  if (top1.size() != labels.size() || reasons.size() != labels.size()) {
    throw PruneError("cleaning: " + std::to_string(top1.size()) + " predictions, " + std::to_string(labels.size()) + " labels and " +
                     std::to_string(reasons.size()) + " reasons, expected the same number of each");
  }
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (is_kept(reasons[i]) && top1[i] != labels[i]) reasons[i] = Reason::kMislabelled;
  }
}

}  // namespace diffprob::prune

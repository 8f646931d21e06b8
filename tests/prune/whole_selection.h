#pragma once

// The outcome of a pruning as one array over all samples, and the index set that it makes: the
// slow, obvious counterpart of what the program writes piece by piece.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "data/dense_labels.h"
#include "prune/lists/index_set.h"
#include "prune/select/selection.h"

namespace diffprob::prune::tests {

/// One reason per sample.
struct Selection {
  std::vector<Reason> reasons;  ///< [N]
  [[nodiscard]] std::int64_t kept() const {
    return std::count_if(reasons.begin(), reasons.end(), is_kept);
  }
  [[nodiscard]] std::vector<std::int64_t> kept_indices() const {  ///< increasing
    std::vector<std::int64_t> indices;
    for (std::size_t i = 0; i < reasons.size(); ++i) {
      if (is_kept(reasons[i])) indices.push_back(static_cast<std::int64_t>(i));
    }
    return indices;
  }
};

/// `labels`: [N], each in [0, num_classes).
[[nodiscard]] inline IndexSet make_index_set(const Selection& selection,
                                             const std::vector<std::int32_t>& labels,
                                             std::int64_t num_classes) {
  IndexSet set;
  set.num_samples = static_cast<std::int64_t>(labels.size());
  set.kept = selection.kept_indices();
  set.reasons = selection.reasons;
  data::DenseLabels dense(num_classes);
  for (const std::int64_t i : set.kept) dense.keep(labels.at(static_cast<std::size_t>(i)));
  set.label_map = std::move(dense).map();
  return set;
}

}  // namespace diffprob::prune::tests

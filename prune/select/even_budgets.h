#pragma once

#include <cstdint>

#include "prune/select/identity_counts.h"
#include "prune/select/kept_front.h"
#include "prune/select/selection.h"

namespace diffprob::prune {

/// How many samples each identity keeps when all shall keep the same number, as far as they have
/// them (water filling): min(n, level) of n usable ones, with the highest level that keeps at most
/// `target` in all. What is then left of the target gives one more sample each to the largest
/// identities above the level; of equally large ones, to those with the smaller labels. The floor
/// is on top: more than `target` are kept where it wants it. The same on every rank.
class EvenBudgets {
 public:
  /// `counts`: over all ranks.
  EvenBudgets(const IdentityCounts& counts, const Floor& floor, std::int64_t target);

  [[nodiscard]] std::int64_t level() const { return level_; }
  /// Of identity c with n usable samples.
  [[nodiscard]] KeptFront of(std::int64_t c, std::int64_t n) const;

 private:
  Floor floor_;
  std::int64_t level_ = 0;
  // Identities with more samples than this keep one more, and those with as many up to this label.
  std::int64_t one_more_above_;
  std::int64_t last_label_ = -1;
};

}  // namespace diffprob::prune

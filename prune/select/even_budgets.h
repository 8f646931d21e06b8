#pragma once

#include <cstdint>
#include <map>

#include "prune/select/identity_counts.h"
#include "prune/select/kept_front.h"
#include "prune/select/selection.h"

namespace diffprob::prune {

/// How many samples each identity keeps when all shall keep the same number, as far as they have
/// them (water filling): min(n, level) of n usable ones, with the highest level that keeps at most
/// `target` in all. What is then left of the target gives one more sample each to the largest
/// identities above the level; of equally large ones, to those with the smaller labels. The floor
/// is on top: more than `target` are kept where it wants it. The same on every rank.
///
/// With a depth, identities may be left out: only the largest stay, as many as can keep `depth`
/// samples each (or what the floor wants, or all they have) within the target, at least one. Of
/// equally large ones, those with the smaller labels stay.
class EvenBudgets {
 public:
  /// `counts`: over all ranks. `depth`: 0 leaves no identity out.
  EvenBudgets(const IdentityCounts& counts, const Floor& floor, std::int64_t target,
              std::int64_t depth = 0);

  [[nodiscard]] std::int64_t level() const { return level_; }
  /// Of identity c with n usable samples.
  [[nodiscard]] KeptFront of(std::int64_t c, std::int64_t n) const;

 private:
  /// Identities with so many usable samples.
  using BySize = std::map<std::int64_t, std::int64_t>;
  void leave_out(const IdentityCounts& counts, std::int64_t target, std::int64_t depth,
                 BySize& identities);
  void share_out(const IdentityCounts& counts, std::int64_t target, const BySize& identities);

  Floor floor_;
  // Identities with fewer samples are left out, and those with as many beyond this label.
  std::int64_t smallest_ = 0;
  std::int64_t last_of_smallest_;
  std::int64_t level_ = 0;
  // Identities with more samples than this keep one more, and those with as many up to this label.
  std::int64_t one_more_above_;
  std::int64_t last_label_ = -1;
};

}  // namespace diffprob::prune

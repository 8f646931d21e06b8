#include "prune/select/even_budgets.h"

#include <algorithm>
#include <limits>
#include <map>

namespace diffprob::prune {

EvenBudgets::EvenBudgets(const IdentityCounts& counts, const Floor& floor, std::int64_t target)
    : floor_(floor), one_more_above_(std::numeric_limits<std::int64_t>::max()) {
  std::map<std::int64_t, std::int64_t> identities_of_size;
  for (std::int64_t c = 0; c < counts.num_classes(); ++c) ++identities_of_size[counts.usable(c)];
  const auto kept = [&](std::int64_t level) {
    std::int64_t sum = 0;
    for (const auto& [size, identities] : identities_of_size)
      sum += identities * std::max(std::min(size, level), std::min(size, floor.of(size)));
    return sum;
  };
  std::int64_t low = 0, high = identities_of_size.empty() ? 0 : identities_of_size.rbegin()->first;
  while (low < high) {  // the highest level that keeps at most the target
    const std::int64_t middle = low + (high - low + 1) / 2;
    if (kept(middle) <= target)
      low = middle;
    else
      high = middle - 1;
  }
  level_ = low;
  std::int64_t left = target - kept(level_);
  for (auto size = identities_of_size.rbegin(); size != identities_of_size.rend(); ++size) {
    if (left <= 0 || size->first <= level_) break;
    if (floor.of(size->first) > level_) continue;  // keeps as many by the floor
    one_more_above_ = size->first;
    if (size->second <= left) {
      left -= size->second;
      last_label_ = counts.num_classes();
      continue;
    }
    for (std::int64_t c = 0; left > 0; ++c) {
      if (counts.usable(c) != size->first) continue;
      last_label_ = c;
      --left;
    }
    return;
  }
}

KeptFront EvenBudgets::of(std::int64_t c, std::int64_t n) const {
  const bool one_more = n > level_ && floor_.of(n) <= level_ &&
                        (n > one_more_above_ || (n == one_more_above_ && c <= last_label_));
  const std::int64_t by_method = std::min(n, level_ + (one_more ? 1 : 0));
  return {by_method, std::max(by_method, std::min(n, floor_.of(n)))};
}

}  // namespace diffprob::prune

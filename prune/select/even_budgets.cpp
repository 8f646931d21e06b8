#include "prune/select/even_budgets.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace diffprob::prune {

namespace {

/// Label of the `number`-th of the identities with `size` usable samples.
std::int64_t label_of_nth(const IdentityCounts& counts, std::int64_t size, std::int64_t number) {
  std::int64_t c = -1;
  while (number > 0) {
    if (counts.usable(++c) == size) --number;
  }
  return c;
}

}  // namespace

EvenBudgets::EvenBudgets(const IdentityCounts& counts, const Floor& floor, std::int64_t target,
                         std::int64_t depth)
    : floor_(floor),
      last_of_smallest_(counts.num_classes()),
      one_more_above_(std::numeric_limits<std::int64_t>::max()) {
  BySize identities;
  for (std::int64_t c = 0; c < counts.num_classes(); ++c) ++identities[counts.usable(c)];
  if (depth > 0) leave_out(counts, target, depth, identities);
  share_out(counts, target, identities);
}

void EvenBudgets::leave_out(const IdentityCounts& counts, std::int64_t target, std::int64_t depth,
                            BySize& identities) {
  BySize staying;
  for (auto size = identities.rbegin(); size != identities.rend() && size->first > 0; ++size) {
    const auto& [samples, number] = *size;
    const std::int64_t each = std::min(samples, std::max(depth, floor_.of(samples)));
    const std::int64_t fit = std::min(number, target / each);
    const std::int64_t stay = staying.empty() ? std::max<std::int64_t>(fit, 1) : fit;
    target -= stay * each;
    if (stay > 0) {
      staying[samples] = stay;
      smallest_ = samples;
    }
    if (stay == number) continue;
    if (stay > 0) last_of_smallest_ = label_of_nth(counts, samples, stay);
    break;
  }
  identities = std::move(staying);
}

void EvenBudgets::share_out(const IdentityCounts& counts, std::int64_t target,
                            const BySize& identities) {
  const auto kept = [&](std::int64_t level) {
    std::int64_t sum = 0;
    for (const auto& [size, number] : identities)
      sum += number * std::max(std::min(size, level), std::min(size, floor_.of(size)));
    return sum;
  };
  std::int64_t low = 0, high = identities.empty() ? 0 : identities.rbegin()->first;
  while (low < high) {  // the highest level that keeps at most the target
    const std::int64_t middle = low + (high - low + 1) / 2;
    if (kept(middle) <= target)
      low = middle;
    else
      high = middle - 1;
  }
  level_ = low;
  std::int64_t left = target - kept(level_);
  for (auto size = identities.rbegin(); size != identities.rend(); ++size) {
    if (left <= 0 || size->first <= level_) break;
    if (floor_.of(size->first) > level_) continue;  // keeps as many by the floor
    one_more_above_ = size->first;
    const std::int64_t more = std::min(size->second, left);
    left -= more;
    last_label_ =
        more == size->second ? counts.num_classes() : label_of_nth(counts, size->first, more);
  }
}

KeptFront EvenBudgets::of(std::int64_t c, std::int64_t n) const {
  if (n < smallest_ || (n == smallest_ && c > last_of_smallest_)) return {};
  const bool one_more = n > level_ && floor_.of(n) <= level_ &&
                        (n > one_more_above_ || (n == one_more_above_ && c <= last_label_));
  const std::int64_t by_method = std::min(n, level_ + (one_more ? 1 : 0));
  return {by_method, std::max(by_method, std::min(n, floor_.of(n)))};
}

}  // namespace diffprob::prune

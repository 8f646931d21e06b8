#include "prune/select/matched_fraction.h"

#include <unordered_map>

#include "prune/select/fraction.h"

namespace diffprob::prune {

double matched_fraction(const IdentityCounts& counts, const Floor& floor, std::int64_t target) {
  std::unordered_map<std::int64_t, std::int64_t> identities_of_size;
  for (std::int64_t c = 0; c < counts.num_classes(); ++c) ++identities_of_size[counts.usable(c)];
  const auto kept = [&](double fraction) {
    std::int64_t sum = 0;
    for (const auto& [size, identities] : identities_of_size)
      sum += identities * fraction_of(size, fraction, floor).in_all;
    return sum;
  };
  double low = 0, high = 1;  // what is kept never falls as the fraction rises
  if (kept(low) >= target) return low;
  if (kept(high) <= target) return high;
  for (double middle = 0.5; middle > low && middle < high; middle = low + (high - low) / 2)
    (kept(middle) <= target ? low : high) = middle;
  return target - kept(low) <= kept(high) - target ? low : high;
}

}  // namespace diffprob::prune

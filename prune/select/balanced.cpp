#include "prune/select/balanced.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "prune/error.h"
#include "prune/select/draw.h"

namespace diffprob::prune {

void check(const BalancedOptions& options) {
  if (!(options.easy_share > 0 && options.easy_share <= 1))
    throw PruneError("balanced_easy: easy_share is " + std::to_string(options.easy_share) +
                     ", expected above 0 and at most 1");
  if (options.depth < 1)
    throw PruneError("deep: depth is " + std::to_string(options.depth) + ", expected at least 1");
  check(options.floor);
}

void select_balanced(const IdentitySlots& identities, const EvenBudgets& budgets,
                     std::uint64_t seed, std::span<Reason> reasons) {
  std::vector<std::uint32_t> slots;
  for (std::int64_t c = 0; c < identities.identities(); ++c) {
    const std::int64_t label = identities.first + c;
    slots.resize(static_cast<std::size_t>(identities.size(c)));
    std::iota(slots.begin(), slots.end(),
              static_cast<std::uint32_t>(identities.begin[static_cast<std::size_t>(c)]));
    const KeptFront kept = budgets.of(label, identities.size(c));
    draw_to_front(slots, kept, IdentityStream(seed, label));
    kept.write(slots, reasons);
  }
}

void select_balanced_easy(const IdentitySlots& identities, const SortedIdentities& sorted,
                          const EvenBudgets& budgets, const BalancedOptions& options,
                          std::span<Reason> reasons) {
  std::vector<std::uint32_t> drawn, slots;
  for (std::int64_t c = 0; c < identities.identities(); ++c) {
    const std::int64_t label = identities.first + c;
    const auto by_ease = sorted.slots(c);
    const auto n = static_cast<std::int64_t>(by_ease.size());
    const auto easy = std::clamp<std::int64_t>(
        std::llround(options.easy_share * static_cast<double>(n)), std::min<std::int64_t>(n, 1), n);
    drawn.assign(by_ease.begin(), by_ease.begin() + easy);
    std::sort(drawn.begin(), drawn.end());
    const KeptFront kept = budgets.of(label, n);
    draw_to_front(drawn, {std::min(kept.by_method, easy), std::min(kept.in_all, easy)},
                  IdentityStream(options.seed, label));
    slots.assign(drawn.begin(), drawn.end());
    slots.insert(slots.end(), by_ease.begin() + easy, by_ease.end());
    kept.write(slots, reasons);
  }
}

}  // namespace diffprob::prune

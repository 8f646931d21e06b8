#pragma once

#include <cstdint>
#include <span>

#include "prune/select/even_budgets.h"
#include "prune/select/selection.h"
#include "prune/select/sorted_identities.h"

namespace diffprob::prune {

/// The same number of samples of every identity, as far as it has them.
struct BalancedOptions {
  Floor floor;
  std::uint64_t seed = 1;
  /// balanced_easy: share of the usable samples of an identity, the easiest ones, that are drawn
  /// from.
  double easy_share = 0.667;
  /// deep: images that each identity that stays shall keep (EvenBudgets).
  std::int64_t depth = 10;
};
/// Throws PruneError unless easy_share is above 0 and at most 1, and depth at least 1.
void check(const BalancedOptions& options);

/// Draws the budget of each identity from its usable samples. A draw depends on (seed, identity)
/// alone.
void select_balanced(const IdentitySlots& identities, const EvenBudgets& budgets,
                     std::uint64_t seed, std::span<Reason> reasons);

/// The same, drawn from the easiest of each identity's n usable samples: the first
/// round(easy_share * n), at least one, of those that are `sorted` with the easiest first. What
/// budget and floor want beyond them is added in that order. A draw depends on (seed, identity) and
/// on which samples are the easiest, not on their order.
void select_balanced_easy(const IdentitySlots& identities, const SortedIdentities& sorted,
                          const EvenBudgets& budgets, const BalancedOptions& options,
                          std::span<Reason> reasons);

}  // namespace diffprob::prune

#pragma once

#include <cstdint>
#include <span>

#include "prune/select/even_budgets.h"
#include "prune/select/selection.h"

namespace diffprob::prune {

/// The same number of samples of every identity, as far as it has them.
struct BalancedOptions {
  Floor floor;
  std::uint64_t seed = 1;
};

/// Draws the budget of each identity from its usable samples. A draw depends on (seed, identity)
/// alone.
void select_balanced(const IdentitySlots& identities, const EvenBudgets& budgets,
                     std::uint64_t seed, std::span<Reason> reasons);

}  // namespace diffprob::prune

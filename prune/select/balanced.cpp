#include "prune/select/balanced.h"

#include <numeric>
#include <vector>

#include "prune/select/draw.h"

namespace diffprob::prune {

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

}  // namespace diffprob::prune

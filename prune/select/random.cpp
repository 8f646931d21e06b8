#include "prune/select/random.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "prune/select/fraction.h"
#include "prune/select/identity_stream.h"

namespace diffprob::prune {
namespace {

/// Brings `count` slots drawn without replacement to the front.
void draw_to_front(std::vector<std::uint32_t>& slots, std::size_t count, IdentityStream stream) {
  for (std::size_t i = 0; i < count; ++i)
    std::swap(slots[i], slots[i + stream.below(slots.size() - i)]);
}

}  // namespace

void check(const RandomOptions& options) {
  check_fraction("random", options.fraction);
  check(options.floor);
}

void select_random(const IdentitySlots& identities, const RandomOptions& options,
                   std::span<Reason> reasons) {
  check(options);
  std::vector<std::uint32_t> slots;
  for (std::int64_t c = 0; c < identities.identities(); ++c) {
    slots.resize(static_cast<std::size_t>(identities.size(c)));
    std::iota(slots.begin(), slots.end(),
              static_cast<std::uint32_t>(identities.begin[static_cast<std::size_t>(c)]));
    const FractionOf kept(identities.size(c), options.fraction, options.floor);
    if (options.draw == RandomOptions::Draw::kTail) {
      std::reverse(slots.begin(), slots.end());
    } else if (kept.in_all < identities.size(c)) {
      draw_to_front(slots, static_cast<std::size_t>(kept.in_all),
                    IdentityStream(options.seed, identities.first + c));
    } else if (kept.by_fraction < kept.in_all) {
      draw_to_front(slots, static_cast<std::size_t>(kept.by_fraction),
                    IdentityStream(options.seed, identities.first + c));
    }
    kept.write(slots, reasons);
  }
}

}  // namespace diffprob::prune

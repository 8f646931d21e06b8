#include "prune/select/random.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "prune/select/draw.h"
#include "prune/select/fraction.h"

namespace diffprob::prune {

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
    const KeptFront kept = fraction_of(identities.size(c), options.fraction, options.floor);
    if (options.draw == RandomOptions::Draw::kTail)
      std::reverse(slots.begin(), slots.end());
    else
      draw_to_front(slots, kept, IdentityStream(options.seed, identities.first + c));
    kept.write(slots, reasons);
  }
}

}  // namespace diffprob::prune

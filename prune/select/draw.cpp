#include "prune/select/draw.h"

#include <utility>

namespace diffprob::prune {

void draw_to_front(std::vector<std::uint32_t>& slots, const KeptFront& kept,
                   IdentityStream stream) {
  const auto all = static_cast<std::int64_t>(slots.size());
  // Where everything is kept, the order matters only for what the floor adds.
  const std::int64_t drawn = kept.in_all < all      ? kept.in_all
                             : kept.by_method < all ? kept.by_method
                                                    : 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(drawn); ++i)
    std::swap(slots[i], slots[i + stream.below(slots.size() - i)]);
}

}  // namespace diffprob::prune

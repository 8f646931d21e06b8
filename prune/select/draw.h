#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "prune/select/identity_stream.h"
#include "prune/select/kept_front.h"

namespace diffprob::prune {

/// Brings the slots that are kept to the front of `slots`, drawn without replacement: those of the
/// method first. A smaller number is a part of a larger one.
void draw_to_front(std::vector<std::uint32_t>& slots, const KeptFront& kept, IdentityStream stream);

}  // namespace diffprob::prune

#pragma once

#include <string>

#include "data/sets/dataset.h"
#include "data/sets/verification_set.h"

namespace diffprob::launch {

/// Looks at some images, spread over a set, whose decoded width or height is not `size`: loaders
/// resize (stretch) them to size x size. One warning with their share, the first one and what to
/// do; "" when there is none. Images that cannot be decoded are not counted. `name` of the set.
[[nodiscard]] std::string resized_warning(const data::Dataset& dataset, int size,
                                          const std::string& name);
[[nodiscard]] std::string resized_warning(const data::VerificationSet& set, int size,
                                          const std::string& name);

}  // namespace diffprob::launch

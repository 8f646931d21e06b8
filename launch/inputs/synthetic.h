#pragma once

#include "data/synthetic/faces.h"
#include "launch/config/config.h"

namespace diffprob::launch {

/// Returns true if the training set is the built-in synthetic one, which run and sweep generate.
[[nodiscard]] bool is_synthetic(const Config& config);
/// Options of its faces: the section synthetic, with the seed and the threads of the run.
[[nodiscard]] data::SyntheticFacesOptions synthetic_options(const Config& config);

}  // namespace diffprob::launch

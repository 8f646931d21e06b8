#pragma once

#include "eval/neighbours/neighbours.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// eval::find_neighbours() with the cosines of neighbours.* and its progress on rank 0. Collective.
[[nodiscard]] eval::Neighbours search_inside(const eval::EmbeddedSet& set, const Config& config,
                                             Runtime& runtime);
/// eval::find_neighbours_between(), likewise.
[[nodiscard]] eval::Neighbours search_between(const eval::EmbeddedSet& a,
                                              const eval::EmbeddedSet& b, const Config& config,
                                              Runtime& runtime);
/// eval::find_shared_identities() with neighbours.shared, likewise.
[[nodiscard]] eval::Neighbours search_identities(const eval::EmbeddedSet& a,
                                                 const eval::EmbeddedSet& b, const Config& config,
                                                 Runtime& runtime);

}  // namespace diffprob::launch

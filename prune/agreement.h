#pragma once

#include <functional>

#include "dist/host_collectives.h"

namespace diffprob::prune {

/// Runs `work` on every rank; when it throws PruneError on some, all throw the message of the lowest of them. `work` is not collective.
/// Collective.
void together(dist::HostCollectives& collectives, const std::function<void()>& work);

}  // namespace diffprob::prune

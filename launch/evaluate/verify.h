#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "eval/embed/embedder.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Takes what a network found on a set: the same on every rank.
using TakeVerified =
    std::function<void(const data::VerificationSet& set, const eval::VerifiedSet& verified)>;

/// Verifies a network on every set and logs a line for each. `take`, if given, is called on every
/// rank after each set. Collective.
[[nodiscard]] std::vector<eval::SetReport> verify_sets(const std::string& what,
                                                       std::vector<eval::ResidentSet>& sets,
                                                       model::Backbone& backbone,
                                                       const Config& config, Runtime& runtime,
                                                       const TakeVerified& take = {});

}  // namespace diffprob::launch

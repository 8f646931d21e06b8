#pragma once

#include <string>

#include "model/weights/weights.h"

namespace diffprob::model {

/// What the weights of a file seem to be.
struct WeightsIdentity {
  std::string what;      ///< "a head (class centres [1000, 512])"; empty: unknown
  std::string backbone;  ///< one of backbone_names() whose layers these are, or ""
  std::string evidence;  ///< the name that decides it, as in the file
};

/// Tells by names and shapes. Never throws.
[[nodiscard]] WeightsIdentity identify_weights(const StateDict& entries);

}  // namespace diffprob::model

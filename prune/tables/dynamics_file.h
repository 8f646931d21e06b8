#pragma once

#include "prune/tables/dynamics.h"

namespace diffprob::prune {

inline constexpr const char* kDynamicsFormat = "diffprob-dynamics";
inline constexpr std::int64_t kDynamicsVersion = 1;

/// Throws PruneError, naming `where` and the first rows concerned, unless all columns have N rows,
/// labels are in [0, num_classes), probabilities in [0, 1], uncertainty is at least 0 and finite,
/// aum finite, forgetting 0 to epochs, last_correct 0 or 1.
void check_dynamics(const std::string& where, const DynamicsTable& table);

}  // namespace diffprob::prune

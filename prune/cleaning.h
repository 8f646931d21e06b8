#pragma once

#include <cstdint>
#include <span>

#include "prune/selection.h"

namespace diffprob::prune {

/// Marks samples whose margin-free prediction differs from the label as kMislabelled; leaves the others alone. Pure.
void clean_mispredicted(std::span<const std::int32_t> top1, std::span<const std::int32_t> labels, std::span<Reason> reasons);

}  // namespace diffprob::prune

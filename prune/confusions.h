#pragma once

#include <cstdint>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/prune.h"

namespace diffprob::prune {

/// label and most probable class of one mislabelled sample, in order of label.
[[nodiscard]] constexpr std::uint64_t confusion_pair(std::int32_t label, std::int32_t top1) {
  return std::uint64_t{static_cast<std::uint32_t>(label)} << 32U | static_cast<std::uint32_t>(top1);
}

/// All ranks' pairs -> the `listed` most frequent ones, the same on every rank. Collective.
[[nodiscard]] std::vector<Confusion> most_frequent_confusions(std::vector<std::uint64_t> pairs,
                                                              std::size_t listed,
                                                              dist::HostCollectives& collectives);

}  // namespace diffprob::prune

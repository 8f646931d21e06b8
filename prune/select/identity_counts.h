#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dist/mpi/host_collectives.h"

namespace diffprob::prune {

/// Samples of every identity before and after cleaning, over all ranks: 8 bytes an identity.
class IdentityCounts {
 public:
  IdentityCounts() = default;
  explicit IdentityCounts(std::int64_t num_classes)
      : packed_(static_cast<std::size_t>(num_classes), 0) {}

  /// One sample of identity `label`; usable: left by cleaning.
  void add(std::int32_t label, bool usable) {
    packed_[static_cast<std::size_t>(label)] += kOne + (usable ? 1 : 0);
  }
  /// Collective. A data set has fewer than 2^32 samples, so the halves do not run into each other.
  void sum(dist::HostCollectives& collectives) {
    collectives.all_reduce(std::span<std::uint64_t>(packed_), dist::ReduceOp::kSum);
  }

  [[nodiscard]] std::int64_t num_classes() const {
    return static_cast<std::int64_t>(packed_.size());
  }
  [[nodiscard]] std::int64_t before(std::int64_t c) const {
    return static_cast<std::int64_t>(packed_[static_cast<std::size_t>(c)] >> 32U);
  }
  [[nodiscard]] std::int64_t usable(std::int64_t c) const {
    return static_cast<std::int64_t>(packed_[static_cast<std::size_t>(c)] & 0xFFFFFFFFU);
  }

 private:
  static constexpr std::uint64_t kOne = std::uint64_t{1} << 32U;
  std::vector<std::uint64_t>
      packed_;  // [num_classes]: before in the upper half, usable in the lower
};

}  // namespace diffprob::prune

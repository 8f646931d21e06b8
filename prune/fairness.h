#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/select/identity_counts.h"

namespace diffprob::prune {

/// Identities of a like kind, and what is left of their samples.
struct FairnessGroup {
  std::int64_t identities = 0;  ///< that had samples
  std::int64_t samples = 0;     ///< before cleaning
  std::int64_t usable = 0;      ///< left by cleaning
  std::int64_t kept = 0;
  /// Share of the samples that is kept; 0 of none.
  [[nodiscard]] double share() const {
    return samples > 0 ? static_cast<double>(kept) / static_cast<double>(samples) : 0;
  }
};

/// Who loses by a pruning: identities by their number of samples, and by the share of samples that
/// cleaning took for mislabelled.
struct Fairness {
  /// Numbers of samples at which the groups begin.
  static constexpr std::array<std::int64_t, 7> kSizes = {1, 3, 5, 10, 20, 50, 100};
  /// Shares of mislabelled samples above which the groups begin, in percent; the first is exactly
  /// 0.
  static constexpr std::array<std::int64_t, 4> kMislabelled = {-1, 0, 5, 20};

  std::array<FairnessGroup, kSizes.size()> by_size{};
  std::array<FairnessGroup, kMislabelled.size()> by_mislabelled{};
  FairnessGroup all{};

  void add(std::int64_t before, std::int64_t usable, std::int64_t kept);
  /// Sums over the ranks. Collective.
  void sum(dist::HostCollectives& collectives);
  /// Identities of fewer than `size` samples, one of kSizes.
  [[nodiscard]] FairnessGroup smaller_than(std::int64_t size) const;
};

/// Of identities [first, first + kept.size()), over all ranks. Collective.
[[nodiscard]] Fairness fairness_of(const IdentityCounts& counts, std::int64_t first,
                                   const std::vector<std::int32_t>& kept,
                                   dist::HostCollectives& collectives);

}  // namespace diffprob::prune

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace diffprob::prune {

/// Why a sample is kept or dropped. Kept apart from the scores: never a sentinel inside them.
enum class Reason : std::uint8_t {
  kKept = 0,
  kRedundant = 1,    ///< too close in probability to a kept one (or not drawn, for random selection)
  kMislabelled = 2,  ///< cleaned away: margin-free prediction differs from the label
  kDuplicate = 3,
  kKeptByFloor = 4,  ///< kept because its identity would fall below the minimum
  kUnreadable = 5,
};
[[nodiscard]] constexpr bool is_kept(Reason reason) noexcept {
  return reason == Reason::kKept || reason == Reason::kKeptByFloor;
}
[[nodiscard]] std::string reason_name(Reason reason);

/// One reason a sample.
struct Selection {
  std::vector<Reason> reasons;  ///< [N]
  [[nodiscard]] std::int64_t kept() const;
  [[nodiscard]] std::vector<std::int64_t> kept_indices() const;  ///< increasing
};

/// Samples grouped by identity: samples of identity c are order[begin[c] .. begin[c + 1]), indices increasing. O(N) counting sort.
struct IdentityGroups {
  IdentityGroups(std::span<const std::int32_t> labels, std::int64_t num_classes);
  std::vector<std::int64_t> begin;   ///< [num_classes + 1]
  std::vector<std::uint32_t> order;  ///< [N]
  [[nodiscard]] std::int64_t num_classes() const { return static_cast<std::int64_t>(begin.size()) - 1; }
  [[nodiscard]] std::span<const std::uint32_t> samples(std::int64_t identity) const {
    return {order.data() + begin[identity], order.data() + begin[identity + 1]};
  }
};

/// Identities [first, last) that a rank works on, so that samples (not identities) are split evenly.
struct IdentityRange {
  std::int64_t first;
  std::int64_t last;
};
[[nodiscard]] IdentityRange identities_of_rank(const IdentityGroups& groups, int rank, int world_size);

}  // namespace diffprob::prune

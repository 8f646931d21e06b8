#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace diffprob::prune {

/// Why a sample is kept or dropped. Kept apart from the scores: never a sentinel inside them.
enum class Reason : std::uint8_t {
  kKept = 0,
  kRedundant =
      1,  ///< left out by the method: too close to a kept one, ranked too low, or not drawn
  kMislabelled = 2,  ///< cleaned away
  kDuplicate = 3,
  kKeptByFloor = 4,  ///< kept because its identity would fall below the minimum
  kUnreadable = 5,
  kLeak = 6,  ///< shows an image of a test set
};
inline constexpr Reason kLastReason = Reason::kLeak;
[[nodiscard]] constexpr bool is_kept(Reason reason) noexcept {
  return reason == Reason::kKept || reason == Reason::kKeptByFloor;
}
[[nodiscard]] std::string reason_name(Reason reason);

enum class Preset {
  kDefault,    ///< our rules (prune/README.md)
  kReference,  ///< bit for bit the paper's code
};

/// Smallest number kept of an identity with n usable samples: max(min_kept, int(n * share)); all
/// when there are not more.
struct Floor {
  std::int64_t min_kept = 5;
  double share = 0;
  [[nodiscard]] std::int64_t of(std::int64_t n) const {
    return share > 0 ? std::max(min_kept, static_cast<std::int64_t>(static_cast<double>(n) * share))
                     : min_kept;
  }
};
/// Throws PruneError unless min_kept >= 1 and share is in [0, 1].
void check(const Floor& floor);

/// The usable samples of some identities, grouped: slots [begin[c], begin[c + 1]) belong to
/// identity first + c, in the order of the sample index. Every selection writes one Reason a slot.
/// Pure: no I/O, no MPI.
struct IdentitySlots {
  std::int64_t first = 0;
  std::span<const std::int64_t> begin;  ///< [identities + 1], begin[0] = 0
  [[nodiscard]] std::int64_t identities() const {
    return static_cast<std::int64_t>(begin.size()) - 1;
  }
  [[nodiscard]] std::int64_t slots() const { return begin.back(); }
  [[nodiscard]] std::int64_t size(std::int64_t c) const {
    return begin[static_cast<std::size_t>(c) + 1] - begin[static_cast<std::size_t>(c)];
  }
};

/// Identities [first, last) that a rank works on, so that samples (not identities) are split
/// evenly. `begin`: [identities + 1], samples before each identity.
struct IdentityRange {
  std::int64_t first = 0;
  std::int64_t last = 0;
};
[[nodiscard]] IdentityRange identities_of_rank(std::span<const std::int64_t> begin, int rank,
                                               int world_size);

}  // namespace diffprob::prune

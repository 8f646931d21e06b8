#include "prune/select/ccs.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "prune/error.h"
#include "prune/select/identity_stream.h"

namespace diffprob::prune {
namespace {

constexpr std::int32_t kNone = -1;

/// Unsigned integers in the order of the doubles (no NaN; both zeros are one).
std::uint64_t ordered_bits(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value + 0.0);
  return (bits & (std::uint64_t{1} << 63U)) != 0 ? ~bits : bits | (std::uint64_t{1} << 63U);
}

/// Marks, in each group, the `wanted[g]` samples with the smallest keys over all ranks; of equal
/// keys those that come first in the order of ranks and slots. key_of(slot), group_of(slot) (kNone:
/// in no group) and take(slot). Eight passes, each fixes 8 bits of the last key taken. Collective.
class SmallestOfAll {
 public:
  SmallestOfAll(std::vector<std::int64_t> wanted, dist::HostCollectives& collectives)
      : wanted_(std::move(wanted)), last_(wanted_.size(), 0), collectives_(collectives) {}

  template <class KeyOf, class GroupOf, class Take>
  void take(std::size_t slots, const KeyOf& key_of, const GroupOf& group_of, const Take& take) {
    auto rest = wanted_;  // still to be taken among the keys that begin like last_
    for (int shift = 56; shift >= 0; shift -= 8) {
      std::vector<std::int64_t> histogram(wanted_.size() * 256, 0);
      const std::uint64_t fixed =
          shift == 56 ? 0 : ~std::uint64_t{0} << (static_cast<unsigned>(shift) + 8U);
      for (std::size_t slot = 0; slot < slots; ++slot) {
        const std::int32_t group = group_of(slot);
        if (group == kNone) continue;
        const std::uint64_t key = key_of(slot);
        if (((key ^ last_[static_cast<std::size_t>(group)]) & fixed) != 0) continue;
        ++histogram[static_cast<std::size_t>(group) * 256 +
                    (key >> static_cast<unsigned>(shift) & 255U)];
      }
      collectives_.all_reduce(std::span<std::int64_t>(histogram), dist::ReduceOp::kSum);
      for (std::size_t group = 0; group < wanted_.size(); ++group) {
        std::uint64_t digit = 0;
        for (; digit < 255 && histogram[group * 256 + digit] < rest[group]; ++digit)
          rest[group] -= histogram[group * 256 + digit];
        last_[group] |= digit << static_cast<unsigned>(shift);
      }
    }
    skip_ties_of_lower_ranks(slots, key_of, group_of, rest);
    for (std::size_t slot = 0; slot < slots; ++slot) {
      const std::int32_t group = group_of(slot);
      if (group == kNone || wanted_[static_cast<std::size_t>(group)] == 0) continue;
      const auto g = static_cast<std::size_t>(group);
      const std::uint64_t key = key_of(slot);
      if (key < last_[g] || (key == last_[g] && rest[g]-- > 0)) take(slot);
    }
  }

 private:
  /// rest[g]: how many of the keys equal to last_[g] are taken in all -> on this rank.
  template <class KeyOf, class GroupOf>
  void skip_ties_of_lower_ranks(std::size_t slots, const KeyOf& key_of, const GroupOf& group_of,
                                std::vector<std::int64_t>& rest) {
    std::vector<std::int64_t> ties(wanted_.size(), 0);
    for (std::size_t slot = 0; slot < slots; ++slot) {
      const std::int32_t group = group_of(slot);
      if (group != kNone && key_of(slot) == last_[static_cast<std::size_t>(group)])
        ++ties[static_cast<std::size_t>(group)];
    }
    const auto of_all = collectives_.all_gather_v(std::span<const std::int64_t>(ties));
    for (int rank = 0; rank < collectives_.rank(); ++rank) {
      for (std::size_t g = 0; g < ties.size(); ++g)
        rest[g] -= of_all[static_cast<std::size_t>(rank) * ties.size() + g];
    }
  }

  std::vector<std::int64_t> wanted_;  // [groups]
  std::vector<std::uint64_t> last_;   // [groups]: the largest key taken
  dist::HostCollectives& collectives_;
};

/// The selection on one rank.
class Ccs {
 public:
  Ccs(const IdentitySlots& identities, std::span<const double> hardness, const CcsOptions& options,
      dist::HostCollectives& collectives)
      : identities_(identities),
        hardness_(hardness),
        options_(options),
        collectives_(collectives),
        stratum_(hardness.size(), 0),
        draw_(hardness.size()) {
    for (std::int64_t c = 0; c < identities_.identities(); ++c) {
      const IdentityStream stream(options_.seed, identities_.first + c);
      const auto begin = static_cast<std::size_t>(identities_.begin[static_cast<std::size_t>(c)]);
      for (std::size_t i = 0; i < static_cast<std::size_t>(identities_.size(c)); ++i)
        draw_[begin + i] = stream.at(i);
    }
  }

  void select(std::int64_t budget, std::span<Reason> reasons) {
    drop_hardest();
    const auto sizes = split_into_strata();
    std::fill(reasons.begin(), reasons.end(), Reason::kRedundant);
    SmallestOfAll(ccs_budgets(sizes, budget), collectives_)
        .take(
            draw_.size(), [&](std::size_t slot) { return draw_[slot]; },
            [&](std::size_t slot) { return stratum_[slot]; },
            [&](std::size_t slot) { reasons[slot] = Reason::kKept; });
    for (std::int64_t c = 0; c < identities_.identities(); ++c) fill_to_floor(c, reasons);
  }

 private:
  void drop_hardest() {
    const std::int64_t usable =
        collectives_.all_reduce(static_cast<std::int64_t>(hardness_.size()), dist::ReduceOp::kSum);
    const auto dropped = static_cast<std::int64_t>(static_cast<double>(usable) * options_.beta);
    std::vector<std::int32_t> after(stratum_.size(), kNone);
    SmallestOfAll({usable - dropped}, collectives_)
        .take(
            hardness_.size(), [&](std::size_t slot) { return ordered_bits(hardness_[slot]); },
            [](std::size_t) { return 0; }, [&](std::size_t slot) { after[slot] = 0; });
    stratum_ = std::move(after);
  }

  /// -> samples of each stratum, over all ranks.
  std::vector<std::int64_t> split_into_strata() {
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    for (std::size_t slot = 0; slot < stratum_.size(); ++slot) {
      if (stratum_[slot] == kNone) continue;
      low = std::min(low, hardness_[slot]);
      high = std::max(high, hardness_[slot]);
    }
    low = collectives_.all_reduce(low, dist::ReduceOp::kMin);
    high = collectives_.all_reduce(high, dist::ReduceOp::kMax);
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(options_.strata), 0);
    for (std::size_t slot = 0; slot < stratum_.size(); ++slot) {
      if (stratum_[slot] == kNone) continue;
      const double place =
          high > low ? (hardness_[slot] - low) / (high - low) * static_cast<double>(options_.strata)
                     : 0;
      stratum_[slot] = static_cast<std::int32_t>(
          std::min<std::int64_t>(static_cast<std::int64_t>(place), options_.strata - 1));
      ++sizes[static_cast<std::size_t>(stratum_[slot])];
    }
    collectives_.all_reduce(std::span<std::int64_t>(sizes), dist::ReduceOp::kSum);
    return sizes;
  }

  void fill_to_floor(std::int64_t c, std::span<Reason> reasons) {
    const auto first = static_cast<std::size_t>(identities_.begin[static_cast<std::size_t>(c)]);
    const auto n = static_cast<std::size_t>(identities_.size(c));
    const auto minimum =
        std::min(n, static_cast<std::size_t>(options_.floor.of(static_cast<std::int64_t>(n))));
    std::vector<std::size_t> left_out;
    for (std::size_t slot = first; slot < first + n; ++slot) {
      if (!is_kept(reasons[slot])) left_out.push_back(slot);
    }
    const std::size_t kept = n - left_out.size();
    if (kept >= minimum) return;
    std::sort(left_out.begin(), left_out.end(), [&](std::size_t a, std::size_t b) {
      const bool too_hard_a = stratum_[a] == kNone;
      const bool too_hard_b = stratum_[b] == kNone;
      if (too_hard_a != too_hard_b) return too_hard_b;
      return draw_[a] != draw_[b] ? draw_[a] < draw_[b] : a < b;
    });
    for (std::size_t i = 0; i < minimum - kept; ++i) reasons[left_out[i]] = Reason::kKeptByFloor;
  }

  const IdentitySlots& identities_;
  std::span<const double> hardness_;
  const CcsOptions& options_;
  dist::HostCollectives& collectives_;
  std::vector<std::int32_t> stratum_;  // [slots]; kNone: dropped as too hard
  std::vector<std::uint64_t> draw_;    // [slots]
};

}  // namespace

void check(const CcsOptions& options) {
  if (!(options.beta >= 0 && options.beta < 1)) {
    throw PruneError("ccs: beta is " + std::to_string(options.beta) +
                     ", expected at least 0 and below 1");
  }
  if (options.strata < 1 || options.strata > 10000) {
    throw PruneError("ccs: " + std::to_string(options.strata) + " strata, expected 1 to 10000");
  }
  check(options.floor);
}

std::vector<std::int64_t> ccs_budgets(std::span<const std::int64_t> sizes, std::int64_t budget) {
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return sizes[a] < sizes[b]; });
  std::vector<std::int64_t> budgets(sizes.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto share = budget / static_cast<std::int64_t>(order.size() - i);
    budgets[order[i]] = std::min(sizes[order[i]], share);
    budget -= budgets[order[i]];
  }
  return budgets;
}

void select_ccs(const IdentitySlots& identities, std::span<const double> hardness,
                std::int64_t budget, const CcsOptions& options, dist::HostCollectives& collectives,
                std::span<Reason> reasons) {
  Ccs(identities, hardness, options, collectives).select(budget, reasons);
}

}  // namespace diffprob::prune

#include "prune/methods/selecting.h"

#include <algorithm>
#include <cmath>

#include "prune/select/matched_fraction.h"

namespace diffprob::prune {

std::int64_t Selecting::target() const {
  const auto wanted = static_cast<std::int64_t>(
      std::llround(*options.keep_ratio * static_cast<double>(num_samples)));
  return std::clamp<std::int64_t>(wanted, 1, usable);
}

double Selecting::fraction(double given, Preset preset, const Floor& floor) const {
  if (!options.keep_ratio) return given;
  if (options.match_ratio) return matched_fraction(counts, floor, target());
  const double ratio = *options.keep_ratio;
  if (preset == Preset::kReference || usable == num_samples) return ratio;
  return std::min(1.0, ratio * static_cast<double>(num_samples) / static_cast<double>(usable));
}

SortedIdentities Selecting::sort(Preset preset) {
  const Ties ties = preset == Preset::kReference ? Ties::kLast : Ties::kFirst;
  std::optional<SortedIdentities> sorted;
  seconds.time("sort", [&] {
    if (!keys.doubles.empty()) {
      sorted = SortedIdentities(slots, std::span<const double>(keys.doubles), ties);
    } else if (keys.are_nll) {
      sorted = SortedIdentities::from_nll(slots, keys.floats, ties);
    } else {
      sorted = SortedIdentities(slots, std::span<const float>(keys.floats), ties);
    }
    keys = {};
  });
  return std::move(*sorted);
}

}  // namespace diffprob::prune

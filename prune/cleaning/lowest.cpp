#include "prune/cleaning/lowest.h"

#include <array>
#include <bit>

namespace diffprob::prune {
namespace {

constexpr int kDigitBits = 8;
constexpr int kKeyBits = 64;

/// The key of place `rank` (from 1) among those for which `takes_part`; `rank` becomes the place
/// among the keys that are equal to it.
template <class KeyOf, class TakesPart>
std::uint64_t key_at(std::size_t size, const KeyOf& key, const TakesPart& takes_part,
                     std::int64_t& rank, dist::HostCollectives& collectives) {
  std::uint64_t prefix = 0;
  for (int shift = kKeyBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    std::array<std::int64_t, std::size_t{1} << kDigitBits> counts{};
    const auto same_prefix = [&](std::uint64_t k) {
      return shift + kDigitBits == kKeyBits || (k ^ prefix) >> (shift + kDigitBits) == 0;
    };
    for (std::size_t i = 0; i < size; ++i)
      if (takes_part(i) && same_prefix(key(i))) ++counts[(key(i) >> shift) & (counts.size() - 1)];
    collectives.all_reduce(std::span<std::int64_t>(counts), dist::ReduceOp::kSum);
    std::size_t digit = 0;
    while (digit + 1 < counts.size() && rank > counts[digit]) rank -= counts[digit++];
    prefix |= static_cast<std::uint64_t>(digit) << shift;
  }
  return prefix;
}

}  // namespace

std::vector<bool> lowest_of_all(std::span<const double> values,
                                std::span<const std::int64_t> indices, std::int64_t count,
                                dist::HostCollectives& collectives) {
  std::vector<bool> lowest(values.size(), false);
  const auto all =
      collectives.all_reduce(static_cast<std::int64_t>(values.size()), dist::ReduceOp::kSum);
  if (count <= 0) return lowest;
  if (count >= all) return std::vector<bool>(values.size(), true);
  // Doubles that are not negative are ordered as their bits are; + 0.0 makes -0.0 one of them.
  const auto key = [&](std::size_t i) { return std::bit_cast<std::uint64_t>(values[i] + 0.0); };
  const auto index = [&](std::size_t i) { return static_cast<std::uint64_t>(indices[i]); };
  const std::uint64_t last = key_at(
      values.size(), key, [](std::size_t) { return true; }, count, collectives);
  const std::uint64_t last_index = key_at(
      values.size(), index, [&](std::size_t i) { return key(i) == last; }, count, collectives);
  for (std::size_t i = 0; i < values.size(); ++i)
    lowest[i] = key(i) < last || (key(i) == last && index(i) <= last_index);
  return lowest;
}

}  // namespace diffprob::prune

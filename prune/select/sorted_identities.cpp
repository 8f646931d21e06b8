#include "prune/select/sorted_identities.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace diffprob::prune {
namespace {

/// Unsigned integers in the order of the floats (no NaN; -0 before +0).
std::uint32_t ordered_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

float float_of(std::uint32_t ordered) {
  return std::bit_cast<float>((ordered & 0x80000000U) != 0 ? ordered & 0x7FFFFFFFU : ~ordered);
}

/// Small arrays, the usual case: no call, no recursion.
void sort_packed(std::span<std::uint64_t> entries) {
  constexpr std::size_t kSmall = 24;
  if (entries.size() > kSmall) return std::sort(entries.begin(), entries.end());
  for (std::size_t i = 1; i < entries.size(); ++i) {
    const std::uint64_t entry = entries[i];
    std::size_t to = i;
    for (; to > 0 && entries[to - 1] > entry; --to) entries[to] = entries[to - 1];
    entries[to] = entry;
  }
}

}  // namespace

SortedIdentities::SortedIdentities(const IdentitySlots& identities)
    : identities_(identities),
      values_(static_cast<std::size_t>(identities.slots())),
      slots_(static_cast<std::size_t>(identities.slots())) {}

SortedIdentities::SortedIdentities(const IdentitySlots& identities, std::span<const float> keys,
                                   Ties ties)
    : SortedIdentities(identities) {
  // The larger key first. Subtracting from 0 makes both zeros one.
  sort_floats(
      keys, ties, [](float key) { return 0.0F - key; },
      [](float sort_key) { return -static_cast<double>(sort_key); });
}

SortedIdentities::SortedIdentities(const IdentitySlots& identities, std::span<const double> keys,
                                   Ties ties)
    : SortedIdentities(identities) {
  std::copy(keys.begin(), keys.end(), values_.begin());
  for (std::size_t slot = 0; slot < slots_.size(); ++slot)
    slots_[slot] = static_cast<std::uint32_t>(slot);
  std::vector<Entry> entries;
  for (std::int64_t c = 0; c < this->identities(); ++c) sort_by_value(c, ties, entries);
}

SortedIdentities SortedIdentities::from_nll(const IdentitySlots& identities,
                                            std::span<const float> nll, Ties ties) {
  SortedIdentities sorted(identities);
  sorted.sort_floats(
      nll, ties, [](float key) { return key + 0.0F; },
      [](float sort_key) { return std::expm1(-static_cast<double>(sort_key)); });
  return sorted;
}

/// Sorts by (sort key ascending, slot) packed into 8 bytes, then takes the values. Different keys
/// may have equal values: mended afterwards.
template <class SortKey, class Value>
void SortedIdentities::sort_floats(std::span<const float> keys, Ties ties, const SortKey& sort_key,
                                   const Value& value_of) {
  const std::uint32_t flip = ties == Ties::kLast ? ~std::uint32_t{0} : 0;
  std::vector<std::uint64_t> packed;
  std::vector<Entry> entries;
  for (std::int64_t c = 0; c < identities(); ++c) {
    const std::size_t first = at(c);
    packed.resize(count(c));
    for (std::size_t i = 0; i < packed.size(); ++i) {
      packed[i] = std::uint64_t{ordered_bits(sort_key(keys[first + i]))} << 32U |
                  (static_cast<std::uint32_t>(first + i) ^ flip);
    }
    sort_packed(packed);
    bool in_order = true;
    for (std::size_t i = 0; i < packed.size(); ++i) {
      values_[first + i] = value_of(float_of(static_cast<std::uint32_t>(packed[i] >> 32U)));
      slots_[first + i] = static_cast<std::uint32_t>(packed[i]) ^ flip;
      const bool tie = i > 0 && !(values_[first + i - 1] > values_[first + i]);
      in_order = in_order && !(tie && packed[i - 1] >> 32U != packed[i] >> 32U);
    }
    if (!in_order) sort_by_value(c, ties, entries);
  }
}

void SortedIdentities::sort_by_value(std::int64_t c, Ties ties, std::vector<Entry>& entries) {
  const std::size_t first = at(c);
  entries.resize(count(c));
  for (std::size_t i = 0; i < entries.size(); ++i)
    entries[i] = {values_[first + i], slots_[first + i]};
  std::sort(entries.begin(), entries.end(), [ties](const Entry& a, const Entry& b) {
    if (a.value != b.value) return a.value > b.value;
    return ties == Ties::kLast ? a.slot > b.slot : a.slot < b.slot;
  });
  for (std::size_t i = 0; i < entries.size(); ++i) {
    values_[first + i] = entries[i].value;
    slots_[first + i] = entries[i].slot;
  }
}

}  // namespace diffprob::prune

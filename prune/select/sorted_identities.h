#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "prune/select/selection.h"

namespace diffprob::prune {

enum class Ties {
  kFirst,  ///< equal values: slot ascending
  kLast,   ///< slot descending: a stable ascending sort read from its end
};

/// The samples of some identities, sorted by falling value once, so that each threshold tried
/// afterwards is one cheap scan. 12 bytes a sample. `identities` must outlive it.
class SortedIdentities {
 public:
  /// From keys [slots]; the value is the key.
  SortedIdentities(const IdentitySlots& identities, std::span<const float> keys, Ties ties);
  SortedIdentities(const IdentitySlots& identities, std::span<const double> keys, Ties ties);
  /// The value is expm1(-nll) = p - 1: exact to the last bits also where p is 1 in float32.
  [[nodiscard]] static SortedIdentities from_nll(const IdentitySlots& identities,
                                                 std::span<const float> nll, Ties ties);

  [[nodiscard]] std::int64_t identities() const { return identities_.identities(); }
  /// Falling.
  [[nodiscard]] std::span<const double> values(std::int64_t c) const {
    return std::span(values_).subspan(at(c), count(c));
  }
  /// Slot of each of values(c).
  [[nodiscard]] std::span<const std::uint32_t> slots(std::int64_t c) const {
    return std::span(slots_).subspan(at(c), count(c));
  }

 private:
  explicit SortedIdentities(const IdentitySlots& identities);
  struct Entry {
    double value;
    std::uint32_t slot;
  };
  template <class SortKey, class Value>
  void sort_floats(std::span<const float> keys, Ties ties, const SortKey& sort_key,
                   const Value& value_of);
  void sort_by_value(std::int64_t c, Ties ties, std::vector<Entry>& entries);
  [[nodiscard]] std::size_t at(std::int64_t c) const {
    return static_cast<std::size_t>(identities_.begin[static_cast<std::size_t>(c)]);
  }
  [[nodiscard]] std::size_t count(std::int64_t c) const {
    return static_cast<std::size_t>(identities_.size(c));
  }

  IdentitySlots identities_;
  std::vector<double> values_;        // [slots], falling inside an identity
  std::vector<std::uint32_t> slots_;  // [slots]
};

}  // namespace diffprob::prune

#pragma once

#include <cstdint>
#include <vector>

namespace diffprob::data {

/// Which places of an epoch's order are used. 1 bit per place, and 8 bytes per 512 places.
class KeptPlaces {
 public:
  /// words: bit i % 64 of word i / 64 says whether place i is used; bits from `places` on must be
  /// 0. Throws DataError when there are too few or too many words.
  KeptPlaces(std::vector<std::uint64_t> words, std::int64_t places);

  [[nodiscard]] std::int64_t places() const noexcept { return places_; }
  /// Number of places that are used.
  [[nodiscard]] std::int64_t count() const noexcept { return before_.back(); }
  /// The n-th used place, n from 0 to count() - 1.
  [[nodiscard]] std::int64_t place(std::int64_t n) const;

 private:
  std::int64_t places_;
  std::vector<std::uint64_t> words_;
  std::vector<std::int64_t> before_;  ///< [blocks + 1]: used places before each block of 8 words
};

}  // namespace diffprob::data

#pragma once

#include <compare>
#include <cstdint>

namespace diffprob::eval {

/// Rows of two images, and the cosine between their embeddings.
struct NeighbourPair {
  std::int64_t a = 0;
  std::int64_t b = 0;
  float cosine = 0;
  friend auto operator<=>(const NeighbourPair&, const NeighbourPair&) = default;
};

/// Two identities, and the cosine between their centres.
struct IdentityPair {
  std::int64_t a = 0;
  std::int64_t b = 0;
  float cosine = 0;
  friend auto operator<=>(const IdentityPair&, const IdentityPair&) = default;
};

}  // namespace diffprob::eval

#pragma once

#include <cstdint>
#include <vector>

namespace diffprob::eval {

/// Rows [rows, stride] of unit length in someone else's memory.
struct RowBlock {
  const float* values = nullptr;
  std::int64_t rows = 0;
  std::int64_t stride = 0;  ///< of row_products.h
};

/// Two rows, by their numbers in their blocks, and the cosine between them.
struct BlockMatch {
  std::int32_t a = 0;
  std::int32_t b = 0;
  float cosine = 0;
};

/// Which pairs of two blocks are compared.
enum class BlockPairs {
  kAll,
  kAscending,  ///< those with a < b, of a block with itself
};

/// Appends the pairs with a cosine of at least `least`, in an order that does not depend on the
/// number of threads. Blocks have one stride, and fewer than 2^31 rows.
void find_matches(const RowBlock& a, const RowBlock& b, BlockPairs which, float least, int threads,
                  std::vector<BlockMatch>& out);

}  // namespace diffprob::eval

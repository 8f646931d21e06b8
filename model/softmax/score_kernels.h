#pragma once

#include <cstdint>

/// Loops over one block of classes of the scoring pass, on host memory. A block is always
/// kBlockClasses wide and starts at a multiple of that number of all classes, so an element goes
/// through the same instructions however the classes are split over ranks.
namespace diffprob::model::host {

inline constexpr std::int64_t kBlockClasses = 256;

/// Cosines [rows, kBlockClasses] of consecutive rows to the classes of one block.
struct CosineBlock {
  float* values;
  std::int64_t rows;
  std::int64_t first_column;  ///< classes of this rank are the columns [first_column, last_column)
  std::int64_t last_column;
};

/// What a row's cosines to non-target classes of a block come to. A cosine that is not a number is
/// larger than all others.
struct RowExtremes {
  float target;  ///< cosine to the target class, -inf where it is not in the block
  float first;   ///< largest cosine to another class, -inf when there is none
  float second;  ///< next largest, which may be equal
  std::int32_t first_column;
};

/// In place: products (embedding . centre) become cosines; the target class and columns outside of
/// the block become -inf. target_columns [rows]: column of the row's target class, anything outside
/// [0, kBlockClasses) where it is in no column.
void cosines_of_block(CosineBlock block, const float* inverse_norms,
                      const std::int64_t* target_columns, RowExtremes* extremes);

/// Sums over e = exp(scale * (cosine - reference)) in units of 2^-fraction_bits, each term rounded
/// once: integers add up to the same bits in any order.
struct FixedSums {
  std::int64_t e;        ///< sum of e
  std::int64_t squares;  ///< sum of e^2
  std::int64_t entropy;  ///< sum of -e log e
};

/// Adds a block's cosines to the sums of its rows. references [rows] are not below any cosine of
/// the row that is not -inf. fraction_bits in [1, 40].
void add_exponentials(CosineBlock block, float scale, const float* references, int fraction_bits,
                      FixedSums* sums);

/// L2 norms of rows [count, dim], added up in double precision in an order that depends on dim
/// alone.
void row_norms(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t dim,
               float* norms);

}  // namespace diffprob::model::host

#include "model/softmax/score_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "model/kernels/host_device.h"
#include "model/kernels/vector_dispatch.h"
#include "model/kernels/vector_exp.h"

namespace diffprob::model::host {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr std::int64_t kLanes = 32;  // independent maxima or sums of a row
static_assert(kBlockClasses % kLanes == 0);

/// Larger of the two, not-a-number above all.
DIFFPROB_INLINE float larger(float a, float b) {
  return b > a || b != b ? b : a;
}

DIFFPROB_INLINE float largest_of(const float* __restrict row) {
  float lanes[kLanes];
  for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] = row[lane];
  for (std::int64_t i = kLanes; i < kBlockClasses; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = larger(lanes[lane], row[i + lane]);
  }
  float largest = lanes[0];
  for (const float lane : lanes) largest = larger(largest, lane);
  return largest;
}

/// First column that holds `value`, as compared by its bits: it may be no number.
DIFFPROB_INLINE std::int32_t column_of(const float* row, float value) {
  std::int32_t column = 0;
  while (column + 1 < kBlockClasses &&
         std::bit_cast<std::uint32_t>(row[column]) != std::bit_cast<std::uint32_t>(value))
    ++column;
  return column;
}

DIFFPROB_INLINE void cosines_body(CosineBlock block, const float* __restrict inverse_norms,
                                  const std::int64_t* target_columns, RowExtremes* extremes) {
  for (std::int64_t r = 0; r < block.rows; ++r) {
    float* __restrict row = block.values + r * kBlockClasses;
    for (std::int64_t i = 0; i < kBlockClasses; ++i) {
      const float product = row[i] * inverse_norms[i] +
                            0.0f;  // + 0 makes -0 a 0: the two compare equal, their bits do not
      const float low = product < -1.0f ? -1.0f : product;
      row[i] = low > 1.0f ? 1.0f : low;
    }
    for (std::int64_t i = 0; i < block.first_column; ++i) row[i] = kMinusInfinity;
    for (std::int64_t i = block.last_column; i < kBlockClasses; ++i) row[i] = kMinusInfinity;
    RowExtremes& row_extremes = extremes[r];
    row_extremes.target = kMinusInfinity;
    const std::int64_t target = target_columns[r];
    if (target >= block.first_column && target < block.last_column) {
      row_extremes.target = row[target];
      row[target] = kMinusInfinity;
    }
    row_extremes.first = largest_of(row);
    row_extremes.first_column = column_of(row, row_extremes.first);
    const float first = row[row_extremes.first_column];
    row[row_extremes.first_column] = kMinusInfinity;
    row_extremes.second = largest_of(row);
    row[row_extremes.first_column] = first;
  }
}

/// value >= 0, below 2^(51 - fraction_bits), as a whole number of units: adding `rounder` leaves it
/// in the last bits of the sum.
DIFFPROB_INLINE std::int64_t units_of(double value, double rounder) {
  return std::bit_cast<std::int64_t>(value + rounder) - std::bit_cast<std::int64_t>(rounder);
}

DIFFPROB_INLINE void exponentials_body(CosineBlock block, float scale,
                                       const float* __restrict references, double rounder,
                                       FixedSums* sums) {
  for (std::int64_t r = 0; r < block.rows; ++r) {
    const float* __restrict row = block.values + r * kBlockClasses;
    const float reference = references[r];
    std::int64_t e_sum = 0;
    std::int64_t square_sum = 0;
    std::int64_t entropy_sum = 0;
    for (std::int64_t i = 0; i < kBlockClasses; ++i) {
      const float x = scale * (row[i] - reference);
      const float bounded =
          x >= -100.0f
              ? x
              : -100.0f;  // e is 0 there, and for what is no number: its row is marked already
      const double e = exp_of(bounded);
      e_sum += units_of(e, rounder);
      square_sum += units_of(e * e, rounder);
      entropy_sum += units_of(e * -static_cast<double>(bounded), rounder);
    }
    sums[r].e += e_sum;
    sums[r].squares += square_sum;
    sums[r].entropy += entropy_sum;
  }
}

DIFFPROB_INLINE void norms_body(const float* rows, std::int64_t stride, std::int64_t count,
                                std::int64_t dim, float* norms) {
  const std::int64_t whole = dim / kLanes * kLanes;
  for (std::int64_t r = 0; r < count; ++r) {
    const float* __restrict row = rows + r * stride;
    double lanes[kLanes] = {};
    for (std::int64_t d = 0; d < whole; d += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane)
        lanes[lane] += static_cast<double>(row[d + lane]) * static_cast<double>(row[d + lane]);
    }
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    for (std::int64_t d = whole; d < dim; ++d)
      sum += static_cast<double>(row[d]) * static_cast<double>(row[d]);
    norms[r] = static_cast<float>(std::sqrt(sum));
  }
}

}  // namespace

void cosines_of_block(CosineBlock block, const float* inverse_norms,
                      const std::int64_t* target_columns, RowExtremes* extremes) {
  run_widest<cosines_body>(block, inverse_norms, target_columns, extremes);
}

void add_exponentials(CosineBlock block, float scale, const float* references, int fraction_bits,
                      FixedSums* sums) {
  const double rounder = 1.5 * std::ldexp(1.0, 52 - fraction_bits);
  run_widest<exponentials_body>(block, scale, references, rounder, sums);
}

void row_norms(const float* rows, std::int64_t stride, std::int64_t count, std::int64_t dim,
               float* norms) {
  run_widest<norms_body>(rows, stride, count, dim, norms);
}

}  // namespace diffprob::model::host

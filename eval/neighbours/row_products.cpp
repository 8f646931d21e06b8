#include "eval/neighbours/row_products.h"

#include <cmath>
#include <cstring>

#include "model/kernels/vector_dispatch.h"

namespace diffprob::eval {
namespace {

#define DIFFPROB_INLINE [[gnu::always_inline]] inline

/// The lanes of a sum lie in one register with AVX-512 and in two with AVX2: GCC splits wider
/// vectors by itself, but through memory.
using Sixteen [[gnu::vector_size(16 * sizeof(float)), gnu::may_alias]] = float;
using Eight [[gnu::vector_size(8 * sizeof(float)), gnu::may_alias]] = float;
constexpr std::int64_t kWide = 8;
using Wide [[gnu::vector_size(kWide * sizeof(double)), gnu::may_alias]] = double;

DIFFPROB_INLINE float sum_of(const float* l) {
  const float first = ((l[0] + l[8]) + (l[4] + l[12])) + ((l[2] + l[10]) + (l[6] + l[14]));
  const float second = ((l[1] + l[9]) + (l[5] + l[13])) + ((l[3] + l[11]) + (l[7] + l[15]));
  return first + second;
}

/// All products of kA and kB rows: each value that is loaded is used several times.
template <class Part, int kA, int kB>
DIFFPROB_INLINE void tile(const float* const* a, const float* const* b, std::int64_t stride,
                          float* out) {
  constexpr int kParts = kRowLanes * sizeof(float) / sizeof(Part);
  constexpr int kLanes = kRowLanes / kParts;
  Part sums[kA][kB][kParts] = {};
  for (std::int64_t i = 0; i < stride; i += kRowLanes) {
#pragma GCC unroll 8
    for (int p = 0; p < kParts; ++p) {
      Part left[kA];
#pragma GCC unroll 8
      for (int r = 0; r < kA; ++r) std::memcpy(&left[r], a[r] + i + p * kLanes, sizeof(Part));
#pragma GCC unroll 8
      for (int c = 0; c < kB; ++c) {
        Part right;
        std::memcpy(&right, b[c] + i + p * kLanes, sizeof(Part));
#pragma GCC unroll 8
        for (int r = 0; r < kA; ++r) sums[r][c][p] += left[r] * right;
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kA; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < kB; ++c) {
      float lanes[kRowLanes];
      std::memcpy(lanes, sums[r][c], sizeof(lanes));
      out[r * kB + c] = sum_of(lanes);
    }
}

template <class Part, int kA, int kB>
DIFFPROB_INLINE void products_body(const float* a, std::int64_t rows, const float* b,
                                   std::int64_t columns, std::int64_t stride, float* out) {
  const float* left[kA];
  const float* right[kB];
  float products[kA * kB];
  for (std::int64_t c = 0; c < columns; c += kB) {
    const std::int64_t wide = columns - c < kB ? columns - c : kB;
    // Short groups repeat their last row, so that every product goes through the same instructions.
    for (std::int64_t k = 0; k < kB; ++k) right[k] = b + (c + (k < wide ? k : wide - 1)) * stride;
    for (std::int64_t r = 0; r < rows; r += kA) {
      const std::int64_t high = rows - r < kA ? rows - r : kA;
      for (std::int64_t k = 0; k < kA; ++k) left[k] = a + (r + (k < high ? k : high - 1)) * stride;
      tile<Part, kA, kB>(left, right, stride, products);
      for (std::int64_t y = 0; y < high; ++y)
        for (std::int64_t x = 0; x < wide; ++x)
          out[(r + y) * columns + c + x] = products[y * kB + x];
    }
  }
}

DIFFPROB_INLINE double sum_of(const Wide& w) {
  return ((w[0] + w[4]) + (w[2] + w[6])) + ((w[1] + w[5]) + (w[3] + w[7]));
}

DIFFPROB_INLINE void widen(Wide& wide, const float* from) {
  using Narrow [[gnu::vector_size(kWide * sizeof(float)), gnu::may_alias]] = float;
  Narrow narrow;
  std::memcpy(&narrow, from, sizeof(narrow));
  wide = __builtin_convertvector(narrow, Wide);
}

DIFFPROB_INLINE void unit_body(const float* values, std::int64_t dim, std::int64_t stride,
                               float* unit, bool* is_unit) {
  Wide sums{};
  std::int64_t i = 0;
  for (; i + kWide <= dim; i += kWide) {
    Wide wide;
    widen(wide, values + i);
    sums += wide * wide;
  }
  double sum = sum_of(sums);
  for (; i < dim; ++i) sum += double{values[i]} * double{values[i]};
  *is_unit = sum > 0;
  const double length = *is_unit ? std::sqrt(sum) : 1;
  for (i = 0; i < dim; ++i) unit[i] = static_cast<float>(double{values[i]} / length);
  for (; i < stride; ++i) unit[i] = 0;
}

DIFFPROB_INLINE void add_body(const float* row, std::int64_t stride, double* sum) {
  for (std::int64_t i = 0; i < stride; ++i) sum[i] += double{row[i]};
}

DIFFPROB_INLINE void with_sum_body(const float* row, const double* sum, std::int64_t stride,
                                   double* out) {
  Wide sums{};
  for (std::int64_t i = 0; i < stride; i += kWide) {
    Wide left, right;
    widen(left, row + i);
    std::memcpy(&right, sum + i, sizeof(right));
    sums += left * right;
  }
  *out = sum_of(sums);
}

}  // namespace

void row_products(const float* a, std::int64_t rows, const float* b, std::int64_t columns,
                  std::int64_t stride, float* out) {
  // As many sums as the registers hold: 24 of 32 with AVX-512, 6 in 12 of 16 with AVX2.
#if defined(__x86_64__)
  if (model::host::widest_vectors() != model::host::Vectors::kAvx512)
    return model::host::run_widest<products_body<Eight, 2, 3>>(a, rows, b, columns, stride, out);
#endif
  model::host::run_widest<products_body<Sixteen, 4, 6>>(a, rows, b, columns, stride, out);
}

bool make_unit(const float* values, std::int64_t dim, std::int64_t stride, float* unit) {
  bool is_unit = false;
  model::host::run_widest<unit_body>(values, dim, stride, unit, &is_unit);
  return is_unit;
}

void add_row(const float* row, std::int64_t stride, double* sum) {
  model::host::run_widest<add_body>(row, stride, sum);
}

double product_with_sum(const float* row, const double* sum, std::int64_t stride) {
  double out = 0;
  model::host::run_widest<with_sum_body>(row, sum, stride, &out);
  return out;
}

}  // namespace diffprob::eval

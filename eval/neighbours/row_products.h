#pragma once

#include <cstdint>

namespace diffprob::eval {

/// Rows of these functions have a stride that is a multiple of this, with zeros after their last
/// value.
inline constexpr std::int64_t kRowLanes = 16;
[[nodiscard]] constexpr std::int64_t row_stride(std::int64_t dim) noexcept {
  return (dim + kRowLanes - 1) / kRowLanes * kRowLanes;
}

/// out[i * columns + j] = dot product of row i of `a` [rows, stride] and row j of `b` [columns,
/// stride], float32. Terms are added in an order that depends on the stride only: a product has the
/// same bits whatever else is computed with it, and when `a` and `b` change places. Compiled for
/// the widest vectors of the machine; machines with and without fused multiply-add differ in the
/// last bits.
void row_products(const float* a, std::int64_t rows, const float* b, std::int64_t columns,
                  std::int64_t stride, float* out);

/// unit [stride] = values [dim] divided by their length, and zeros after them; zeros when the
/// length is 0. Returns false then. Lengths are float64.
bool make_unit(const float* values, std::int64_t dim, std::int64_t stride, float* unit);
/// sum[i] += row[i], float64, for i in [0, stride).
void add_row(const float* row, std::int64_t stride, double* sum);
/// Dot product of a float32 row and a float64 sum, in float64 and in a fixed order.
[[nodiscard]] double product_with_sum(const float* row, const double* sum, std::int64_t stride);

}  // namespace diffprob::eval

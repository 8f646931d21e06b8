#include "eval/ijb/dot_kernel.h"

#include <cstring>

#include "model/kernels/vector_dispatch.h"

namespace diffprob::eval {
namespace {

#define DIFFPROB_INLINE [[gnu::always_inline]] inline

constexpr std::int64_t kLanes = 8;
constexpr std::int64_t kRows = 4;  // at a time: a value of the vector is loaded once for them
using Lanes [[gnu::vector_size(kLanes * sizeof(double)), gnu::may_alias]] = double;

DIFFPROB_INLINE void load(Lanes& lanes, const double* from) {
  std::memcpy(&lanes, from, sizeof(Lanes));
}

DIFFPROB_INLINE double sum_of(const Lanes& lanes, const double* a, const double* b,
                              std::int64_t rest) {
  double sum = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
               ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
  for (std::int64_t i = 0; i < rest; ++i) sum += a[i] * b[i];
  return sum;
}

DIFFPROB_INLINE void four_dots(const double* vector, const double* const* row, std::int64_t dim,
                               double* out) {
  Lanes s0{}, s1{}, s2{}, s3{};
  std::int64_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    Lanes a, b0, b1, b2, b3;
    load(a, vector + i);
    load(b0, row[0] + i);
    load(b1, row[1] + i);
    load(b2, row[2] + i);
    load(b3, row[3] + i);
    s0 += a * b0;
    s1 += a * b1;
    s2 += a * b2;
    s3 += a * b3;
  }
  out[0] = sum_of(s0, vector + i, row[0] + i, dim - i);
  out[1] = sum_of(s1, vector + i, row[1] + i, dim - i);
  out[2] = sum_of(s2, vector + i, row[2] + i, dim - i);
  out[3] = sum_of(s3, vector + i, row[3] + i, dim - i);
}

DIFFPROB_INLINE void dots_body(const double* vector, const double* matrix, std::int64_t dim,
                               const std::int32_t* rows, std::int64_t count, double* out) {
  for (std::int64_t first = 0; first < count; first += kRows) {
    const std::int64_t here = count - first < kRows ? count - first : kRows;
    const double* row[kRows];
    // Short groups repeat their last row, so that every product goes through the same instructions.
    for (std::int64_t r = 0; r < kRows; ++r)
      row[r] = matrix + std::int64_t{rows[first + (r < here ? r : here - 1)]} * dim;
    double sums[kRows];
    four_dots(vector, row, dim, sums);
    for (std::int64_t r = 0; r < here; ++r) out[first + r] = sums[r];
  }
}

}  // namespace

void dots_with_rows(const double* vector, const double* matrix, std::int64_t dim,
                    const std::int32_t* rows, std::int64_t count, double* out) {
  model::host::run_widest<dots_body>(vector, matrix, dim, rows, count, out);
}

}  // namespace diffprob::eval

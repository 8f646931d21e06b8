#pragma once

#include <cstdint>

/// Loops of the head on host memory, compiled for the widest vectors of the machine they run on. A
/// block holds classes x columns, one row a class and one column a sample; `stride` floats from row
/// to row. inverse_norms has one value a row, the other arrays one a column.
namespace diffprob::model::host {

struct Block {
  float* values;
  std::int64_t stride;
  std::int64_t classes;
  std::int64_t columns;
};

/// In place: products become cosines = clamp(value * inverse_norm, -1, 1). maxima are raised to the
/// largest of each column; not by NaN.
void cosines(Block block, const float* inverse_norms, float* maxima);

/// In place: cosines become exp(scale * (cosine - reference)) * inverse_norm. The exponentials
/// alone are added to sums. -inf gives 0.
void exponentials(Block block, const float* inverse_norms, float scale, const float* reference,
                  double* sums);

/// In place: products become exp(scale * (cosine - reference)) * factor * inverse_norm.
void gradients(Block block, const float* inverse_norms, float scale, const float* reference,
               const float* factor);

/// In place: takes off each row of `gradient` [rows, dim] its part along the row of `centres`: g -=
/// (g . c) c inverse_norm^2.
void project(float* gradient, const float* centres, const float* inverse_norms, std::int64_t rows,
             std::int64_t dim);

/// v = momentum * v + (g + decay * w); w -= rate * v, or rate * (g + decay * w + momentum * v) with
/// Nesterov.
struct SgdStep {
  float rate;
  float momentum;
  float decay;
  bool nesterov;
};
void sgd(float* weight, float* velocity, const float* gradient, std::int64_t count, SgdStep step);

/// float32 [rows, dim] -> bfloat16 bits, as model::round_stochastically does it. ids: one a row.
void round_stochastically(const float* values, const std::int64_t* ids, std::int64_t rows,
                          std::int64_t dim, std::uint64_t key, std::uint16_t* out);

}  // namespace diffprob::model::host

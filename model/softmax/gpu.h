#pragma once

#include <cstdint>

#include "model/softmax/threads.h"

/// Launches of the GPU's head kernels. Every pointer is to device memory; work is put on the
/// stream, nothing waits. No torch headers here.
struct CUstream_st;

namespace diffprob::model::gpu {

/// A chunk of products of centres and embeddings, [classes, rows] float32, one line a class.
struct Products {
  float* values;
  std::int64_t classes;
  std::int64_t rows;
  std::int64_t begin;           ///< position of the chunk's first class
  const float* inverse_norms;   ///< [classes] of the centres
  const std::int64_t* target;   ///< [rows] position of each sample's target class
  const bool* target_is_local;  ///< [rows]
};

/// How many parts of the classes are worked on apart.
[[nodiscard]] int class_parts(const Products& products, int multiprocessors);
/// below, above [parts, rows] <- largest cosine to the classes of a part on either side of the
/// target one; -inf where there is none.
void non_target_maxima(const Products& products, int parts, float* below, float* above,
                       CUstream_st* stream);
/// values <- e * inverse_norm with e = exp(scale * (cosine - reference[row])), 0 for the target
/// class; sums [parts, rows] <- sums of e.
void exponentials(const Products& products, float scale, const float* reference, int parts,
                  float* sums, CUstream_st* stream);

/// The target classes of a batch; rows whose class is on another rank are passed over.
struct TargetRows {
  const void* weight;  ///< [shard, dim] float32, or bfloat16 bits
  bool weight_is_bfloat16;
  const std::int64_t* classes;  ///< [n] rows of the shard that take part; null: all
  const std::int64_t* target;   ///< [rows] position of each sample's target class among them
  const bool* target_is_local;  ///< [rows]
  std::int64_t rows;
  int dim;
};
/// x: embeddings, `stride` numbers from row to row. cosine [rows] float64, inverse_norms [rows] of
/// the centres: written where the class is local, left alone elsewhere.
void target_cosines(const TargetRows& rows, const float* x, std::int64_t stride, double* cosine,
                    float* inverse_norms, CUstream_st* stream);
/// gradients [rows, dim] += slope * centre / |centre| where the class is local.
void add_target_gradients(const TargetRows& rows, const float* inverse_norms, const float* slope,
                          float* gradients, CUstream_st* stream);

/// Rows of a shard's weights and momenta that an update is for.
struct HeadRows {
  void* weight;    ///< [shard, dim] float32, or bfloat16 bits
  void* momentum;  ///< likewise
  bool is_bfloat16;
  const float* gradient;       ///< [count, dim]
  const float* inverse_norms;  ///< [count] of the centres: the gradient's part along them is taken
                               ///< off; null: it was already
  const std::int64_t* rows;    ///< [count] rows of the shard; null: first, first + 1, ...
  std::int64_t first;
  std::int64_t count;
  int dim;                   ///< a multiple of 4
  std::int64_t first_class;  ///< id of row 0
  std::uint64_t key;         ///< of this step's stochastic rounding to bfloat16
};
/// What only the device knows of an update.
struct DeviceControl {
  const float* do_update;   ///< 0: the update is skipped; null: it is made
  const float* rate;        ///< null: that of the step
  const std::int64_t* key;  ///< null: that of the rows
};
/// SGD on these rows.
void head_sgd(const HeadRows& rows, const HeadSgdStep& step, const DeviceControl& control,
              CUstream_st* stream);

}  // namespace diffprob::model::gpu

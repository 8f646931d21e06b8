#pragma once

#include <cstdint>

#include <c10/core/ScalarType.h>

#include "model/margin/options.h"

namespace diffprob::model {

struct HeadOptions {
  std::int64_t num_classes = 0;      ///< C
  std::int64_t embedding_dim = 512;  ///< D
  MarginOptions margin;
  /// Seed of the initial centres, keyed by class id, and of the sampling of classes. Centres are
  /// N(0, 0.01), as in the paper's code; those of its AdaFace (LossPreset::kReference) have norm 1
  /// and the direction of a point in [-1, 1]^D.
  std::uint64_t seed = 1;

  /// Logits kept from the first pass to the second, bytes. When [B, C_r] float32 fits (dense),
  /// every product of embeddings and centres is computed once; else those that do not fit are
  /// computed again: one matrix product of four more at most.
  std::int64_t max_buffer_bytes = std::int64_t{512} << 20;
  /// Classes worked on at a time; 0: what suits caches on the CPU, what max_buffer_bytes allows
  /// elsewhere.
  std::int64_t chunk_classes = 0;
  /// Share of the classes in the softmax of a training step, [0, 1]; below 1 see class_sampler.h.
  /// The classes of the batch always take part.
  double sample_rate = 1.0;
  bool target_kernel = false;  ///< on a GPU, the kernel for target classes (see target_classes.h)
  /// Number format of the centres: float32 or bfloat16. All sums are float32 or wider.
  at::ScalarType storage = at::kFloat;
  /// Number format in which normalised embeddings travel in a training step: float32, bfloat16 or
  /// float16. Their gradients travel in float32.
  at::ScalarType embedding_wire = at::kFloat;
};

}  // namespace diffprob::model

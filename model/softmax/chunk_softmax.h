#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

/// Element-wise work on one chunk of classes, [c, B] float32: one row a class, one column a sample
/// of the global batch. Host tensors take the loops of kernels.h, others ATen or the kernels
/// of gpu.h. Nothing here waits for the device.
namespace diffprob::model {

/// Where the target classes of the samples lie among the classes of a step, which are in ascending
/// order.
struct TargetPositions {
  at::Tensor position;  ///< [B] int64: how many of the classes have a lower id than the label
  at::Tensor is_local;  ///< [B] bool: the class at `position` is the target class
};

/// Largest margin-free cosines to non-target classes, [B] float32; -inf where there is none.
struct NonTargetMaxima {
  at::Tensor below;  ///< among classes with a lower id than the label
  at::Tensor above;  ///< among higher ones
};

/// A chunk that starts at class `begin` of the step's classes.
struct Chunk {
  at::Tensor values;         ///< [c, B]
  at::Tensor inverse_norms;  ///< [c], of the centres
  std::int64_t begin;
};

/// Sets the target elements that lie in the chunk. values [B].
void put_target(const Chunk& chunk, const TargetPositions& targets, const at::Tensor& values);

/// In place: products (embedding . centre) become cosines; target elements become -inf. Raises
/// `maxima`. The clamp takes off rounding beyond +-1 and needs no mask in the backward: at +-1 the
/// gradient is along the embedding, and the normalisation removes exactly that part.
void cosines_of_products(const Chunk& chunk, const TargetPositions& targets,
                         NonTargetMaxima& maxima);

/// In place: cosines (or effective cosines) become exp(scale * (cosine - reference)) / |centre|.
/// Adds the exponentials to sums. reference [B] float32, sums [B] float64.
void exponentials_of_cosines(const Chunk& chunk, double scale, const at::Tensor& reference,
                             const at::Tensor& sums);

/// Both at once, where there are kernels for it (float32 on a GPU): what cosines_of_products finds
/// without writing it, and products become exp(scale * (cosine - reference)) / |centre|, 0 for
/// target elements.
[[nodiscard]] bool has_product_kernels(const at::Tensor& values);
void maxima_of_products(const Chunk& chunk, const TargetPositions& targets,
                        NonTargetMaxima& maxima);
void exponentials_of_products(const Chunk& chunk, const TargetPositions& targets, double scale,
                              const at::Tensor& reference, const at::Tensor& sums);

/// In place: products become exp(scale * (cosine - reference)) * factor / |centre|; target elements
/// are as any other. factor [B] float32.
void gradients_of_products(const Chunk& chunk, double scale, const at::Tensor& reference,
                           const at::Tensor& factor);

/// In place: d loss / d cosine summed over embeddings and divided by |centre|, [c, D], becomes d
/// loss / d centre: its part along the centre is taken off. centres [c, D].
void project_off_centres(const at::Tensor& gradient, const at::Tensor& centres,
                         const at::Tensor& inverse_norms);

/// The same by ATen on any device; tests compare.
namespace any_device {
void cosines_of_products(const Chunk& chunk, const TargetPositions& targets,
                         NonTargetMaxima& maxima);
void exponentials_of_cosines(const Chunk& chunk, double scale, const at::Tensor& reference,
                             const at::Tensor& sums);
void gradients_of_products(const Chunk& chunk, double scale, const at::Tensor& reference,
                           const at::Tensor& factor);
void project_off_centres(const at::Tensor& gradient, const at::Tensor& centres,
                         const at::Tensor& inverse_norms);
}  // namespace any_device

}  // namespace diffprob::model

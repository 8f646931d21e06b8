#include "model/softmax/chunk_softmax.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "model/softmax/gpu_ops.h"
#include "model/softmax/kernels.h"

namespace diffprob::model {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr std::int64_t kColumnGrain = 64;
constexpr std::int64_t kRowGrain = 64;

host::Block block_of(const Chunk& chunk, std::int64_t first, std::int64_t last) {
  return {chunk.values.mutable_data_ptr<float>() + first, chunk.values.stride(0),
          chunk.values.size(0), last - first};
}

/// Column of a sample whose target class lies in the block: sets that element, and takes the maxima
/// on both sides of it.
struct Sides {
  float below = kMinusInfinity;
  float above = kMinusInfinity;
};
Sides split_at_target(const host::Block& block, std::int64_t column, std::int64_t target) {
  Sides sides;
  float* value = block.values + column;
  for (std::int64_t i = 0; i < target; ++i)
    sides.below = std::max(sides.below, value[i * block.stride]);
  value[target * block.stride] = kMinusInfinity;
  for (std::int64_t i = target + 1; i < block.classes; ++i)
    sides.above = std::max(sides.above, value[i * block.stride]);
  return sides;
}

void host_cosines(const Chunk& chunk, const TargetPositions& targets, NonTargetMaxima& maxima,
                  std::int64_t first, std::int64_t last) {
  const host::Block block = block_of(chunk, first, last);
  std::vector<float> largest(static_cast<std::size_t>(last - first), kMinusInfinity);
  host::cosines(block, chunk.inverse_norms.const_data_ptr<float>(), largest.data());
  const std::int64_t* position = targets.position.const_data_ptr<std::int64_t>();
  const bool* is_local = targets.is_local.const_data_ptr<bool>();
  float* below = maxima.below.mutable_data_ptr<float>();
  float* above = maxima.above.mutable_data_ptr<float>();
  for (std::int64_t b = first; b < last; ++b) {
    const std::int64_t row = position[b] - chunk.begin;
    const float value = largest[static_cast<std::size_t>(b - first)];
    Sides sides;
    if (is_local[b] && row >= 0 && row < block.classes) {
      sides = split_at_target(block, b - first, row);
    } else {
      (row <= 0 ? sides.above : sides.below) = value;
    }
    below[b] = std::max(below[b], sides.below);
    above[b] = std::max(above[b], sides.above);
  }
}

}  // namespace

void put_target(const Chunk& chunk, const TargetPositions& targets, const at::Tensor& values) {
  const std::int64_t classes = chunk.values.size(0);
  if (classes == 0) return;
  const at::Tensor row = targets.position - chunk.begin;
  const at::Tensor inside =
      at::logical_and(targets.is_local, at::logical_and(row >= 0, row < classes));
  const at::Tensor index = row.clamp_(0, classes - 1).unsqueeze(0);
  const at::Tensor old = chunk.values.gather(0, index);
  at::Tensor(chunk.values).scatter_(0, index, at::where(inside, values, old));
}

namespace any_device {

void cosines_of_products(const Chunk& chunk, const TargetPositions& targets,
                         NonTargetMaxima& maxima) {
  if (chunk.values.size(0) == 0) return;
  at::Tensor(chunk.values).mul_(chunk.inverse_norms.unsqueeze(1)).clamp_(-1.0, 1.0);
  put_target(chunk, targets, at::full_like(maxima.below, kMinusInfinity));
  // One maximum is enough: if its first place is above the label, every cosine below is smaller.
  const auto [value, row] = at::max(chunk.values, 0);
  const at::Tensor is_below = row.add(chunk.begin) < targets.position;
  maxima.below =
      at::maximum(maxima.below, value.masked_fill(at::logical_not(is_below), kMinusInfinity));
  maxima.above = at::maximum(maxima.above, value.masked_fill(is_below, kMinusInfinity));
}

void exponentials_of_cosines(const Chunk& chunk, double scale, const at::Tensor& reference,
                             const at::Tensor& sums) {
  at::Tensor values = chunk.values;
  values.sub_(reference).mul_(scale).exp_();
  at::Tensor(sums).add_(values.sum(0));
  values.mul_(chunk.inverse_norms.unsqueeze(1));
}

void gradients_of_products(const Chunk& chunk, double scale, const at::Tensor& reference,
                           const at::Tensor& factor) {
  const at::Tensor inverse = chunk.inverse_norms.unsqueeze(1);
  at::Tensor(chunk.values)
      .mul_(inverse)
      .clamp_(-1.0, 1.0)
      .sub_(reference)
      .mul_(scale)
      .exp_()
      .mul_(factor)
      .mul_(inverse);
}

void project_off_centres(const at::Tensor& gradient, const at::Tensor& centres,
                         const at::Tensor& inverse_norms) {
  const at::Tensor along = at::mul(gradient, centres).sum(1).mul_(inverse_norms.square());
  at::Tensor(gradient).addcmul_(centres, along.unsqueeze(1), -1);
}

}  // namespace any_device

bool has_product_kernels(const at::Tensor& values) {
  return gpu::has_product_kernels(values);
}

void maxima_of_products(const Chunk& chunk, const TargetPositions& targets,
                        NonTargetMaxima& maxima) {
  gpu::maxima_of_products(chunk, targets, maxima);
}

void exponentials_of_products(const Chunk& chunk, const TargetPositions& targets, double scale,
                              const at::Tensor& reference, const at::Tensor& sums) {
  gpu::exponentials_of_products(chunk, targets, scale, reference, sums);
}

void cosines_of_products(const Chunk& chunk, const TargetPositions& targets,
                         NonTargetMaxima& maxima) {
  if (!chunk.values.device().is_cpu())
    return any_device::cosines_of_products(chunk, targets, maxima);
  at::parallel_for(0, chunk.values.size(1), kColumnGrain,
                   [&](std::int64_t first, std::int64_t last) {
                     host_cosines(chunk, targets, maxima, first, last);
                   });
}

void exponentials_of_cosines(const Chunk& chunk, double scale, const at::Tensor& reference,
                             const at::Tensor& sums) {
  if (!chunk.values.device().is_cpu())
    return any_device::exponentials_of_cosines(chunk, scale, reference, sums);
  at::parallel_for(
      0, chunk.values.size(1), kColumnGrain, [&](std::int64_t first, std::int64_t last) {
        host::exponentials(block_of(chunk, first, last),
                           chunk.inverse_norms.const_data_ptr<float>(), static_cast<float>(scale),
                           reference.const_data_ptr<float>() + first,
                           sums.mutable_data_ptr<double>() + first);
      });
}

void gradients_of_products(const Chunk& chunk, double scale, const at::Tensor& reference,
                           const at::Tensor& factor) {
  if (!chunk.values.device().is_cpu())
    return any_device::gradients_of_products(chunk, scale, reference, factor);
  at::parallel_for(
      0, chunk.values.size(1), kColumnGrain, [&](std::int64_t first, std::int64_t last) {
        host::gradients(block_of(chunk, first, last), chunk.inverse_norms.const_data_ptr<float>(),
                        static_cast<float>(scale), reference.const_data_ptr<float>() + first,
                        factor.const_data_ptr<float>() + first);
      });
}

void project_off_centres(const at::Tensor& gradient, const at::Tensor& centres,
                         const at::Tensor& inverse_norms) {
  if (!gradient.device().is_cpu())
    return any_device::project_off_centres(gradient, centres, inverse_norms);
  const std::int64_t dim = gradient.size(1);
  at::parallel_for(0, gradient.size(0), kRowGrain, [&](std::int64_t first, std::int64_t last) {
    host::project(gradient.mutable_data_ptr<float>() + first * dim,
                  centres.const_data_ptr<float>() + first * dim,
                  inverse_norms.const_data_ptr<float>() + first, last - first, dim);
  });
}

}  // namespace diffprob::model

#pragma once

#include <ATen/core/Tensor.h>

#include "model/batch_norm/threads.h"
#include "model/batch_norm/types.h"
#include "model/kernels/gpu_rows.h"

/// Tensors as the launches of a GPU's kernels take them.
namespace diffprob::model::gpu {

inline Number number_of(const at::Tensor& x) {
  return x.scalar_type() == at::kHalf       ? Number::kHalf
         : x.scalar_type() == at::kBFloat16 ? Number::kBFloat16
                                            : Number::kFloat;
}

/// x: channels-last [N, C, H, W], or [N, C].
inline Rows rows_of(const at::Tensor& x) {
  return {number_of(x), x.numel() / x.size(1), static_cast<int>(x.size(1))};
}

/// Throws c10::Error unless the parameter is dense float32, or undefined.
inline const float* floats_or_null(const at::Tensor& tensor) {
  if (!tensor.defined()) return nullptr;
  TORCH_CHECK(tensor.scalar_type() == at::kFloat && tensor.is_contiguous(),
              "batch norm: expected float32 parameters on a GPU, got ", tensor.scalar_type());
  return tensor.const_data_ptr<float>();
}

inline ChannelArrays parameters_of(const BatchAffine& affine, const BatchStatistics& statistics) {
  return {statistics.mean.const_data_ptr<double>(), statistics.inv_std.const_data_ptr<double>(),
          floats_or_null(affine.weight), floats_or_null(affine.bias), floats_or_null(affine.slope)};
}

}  // namespace diffprob::model::gpu

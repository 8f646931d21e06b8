#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/cuda/CUDAContext.h>

namespace diffprob::model::gpu {

/// The current stream of the tensor's own GPU. What LibTorch answers without a device is about the
/// current one, which need not be that.
inline CUstream_st* stream_of(const at::Tensor& tensor) {
  return at::cuda::getCurrentCUDAStream(tensor.device().index());
}

inline int multiprocessors_of(const at::Tensor& tensor) {
  return at::cuda::getDeviceProperties(tensor.device().index())->multiProcessorCount;
}

}  // namespace diffprob::model::gpu

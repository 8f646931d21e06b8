#pragma once

#include <ATen/core/Tensor.h>

namespace diffprob::model {

/// What every backbone is fed: (x / 255 - 0.5) / 0.5, rounded as the reference rounds it.
/// @param images_uint8_nhwc  [b, h, w, 3] uint8, RGB, contiguous; pinned memory is copied without
/// waiting for the device, so it must be owned by
///                           LibTorch's host allocator or stay untouched until the current stream
///                           is past this call
/// @return [b, 3, h, w] float32 on `device`, memory format channels_last (the batch is never
/// transposed). Throws c10::Error on another shape or dtype.
[[nodiscard]] at::Tensor normalize_faces(const at::Tensor& images_uint8_nhwc, at::Device device);

}  // namespace diffprob::model

#pragma once

#include <ATen/core/Tensor.h>

/// normalize_faces (model/input/normalize.h) by a kernel of its own, which rounds to `type` at once
/// and pads the pixels. One of two sibling files implements these: faces_gpu_ops.cpp, or, in a
/// build without CUDA, faces_gpu_absent.cpp. On the current stream; nothing waits.
namespace diffprob::model::gpu {

struct FaceOptions {
  at::ScalarType type = at::kFloat;  ///< or float16, bfloat16
  std::int64_t channels = 3;  ///< or 4, 8: zeros beyond the three colours, so that convolutions
                              ///< find pixels of 8 or 16 bytes
  /// int64 [b] on the device: the image of each face; undefined: all images in order.
  at::Tensor rows{};
  at::Tensor flips{};  ///< uint8 or bool [b] on the device: mirrored where not 0; undefined: none
};

/// uint8 images on a GPU, contiguous [N, s, s, 3], and a kernel for them.
[[nodiscard]] bool has_faces(const at::Tensor& images);
/// @param images  as has_faces() asks for; rows are not checked against N
/// @return [b, channels, s, s], channels-last: (x / 255 - 0.5) / 0.5, rounded to float32 after each
/// operation, then to the type. Throws c10::Error on other shapes and types.
[[nodiscard]] at::Tensor make_faces(const at::Tensor& images, const FaceOptions& options);

}  // namespace diffprob::model::gpu

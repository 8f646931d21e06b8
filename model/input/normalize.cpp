#include "model/input/normalize.h"

#include <ATen/ATen.h>

namespace diffprob::model {

at::Tensor normalize_faces(const at::Tensor& images_uint8_nhwc, at::Device device) {
  const auto& images = images_uint8_nhwc;
  TORCH_CHECK(images.defined() && images.dim() == 4 && images.size(3) == 3 &&
                  images.scalar_type() == at::kByte,
              "normalize_faces: expected uint8 images [b, h, w, 3], got ",
              images.defined() ? images.toString() : "nothing", " ",
              images.defined() ? images.sizes() : at::IntArrayRef{});
  // Bytes travel to the device, not floats; the division keeps the strides, so the permuted view
  // stays channels_last.
  const bool asynchronous = device.is_cuda() && images.is_pinned();
  const auto bytes = images.to(device, asynchronous).permute({0, 3, 1, 2});  // [b, 3, h, w]
  return at::div(bytes, 255.0).sub_(0.5).div_(0.5);
}

}  // namespace diffprob::model

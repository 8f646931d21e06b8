#include "model/input/gpu_ops.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>

#include <limits>

#include "model/input/gpu.h"
#include "model/kernels/gpu_stream.h"

namespace diffprob::model::gpu {
namespace {

constexpr std::int64_t kLargestSide = 4096;

Number number_of(at::ScalarType type) {
  TORCH_CHECK(type == at::kFloat || type == at::kHalf || type == at::kBFloat16,
              "faces: expected float32, float16 or bfloat16, got ", type);
  return type == at::kHalf       ? Number::kHalf
         : type == at::kBFloat16 ? Number::kBFloat16
                                 : Number::kFloat;
}

bool is_column(const at::Tensor& column, const at::Tensor& images, std::int64_t count) {
  return column.device() == images.device() && column.dim() == 1 && column.size(0) == count &&
         column.is_contiguous();
}

}  // namespace

bool has_faces(const at::Tensor& images) {
  return images.is_cuda() && images.scalar_type() == at::kByte && images.dim() == 4 &&
         images.size(3) == 3 && images.size(1) == images.size(2) &&
         images.size(1) <= kLargestSide && images.is_contiguous();
}

at::Tensor make_faces(const at::Tensor& images, const FaceOptions& options) {
  TORCH_CHECK(has_faces(images),
              "faces: expected contiguous uint8 images [n, s, s, 3] on a GPU, got ",
              images.toString(), " ", images.sizes());
  const auto& [type, channels, rows, flips] = options;
  const std::int64_t side = images.size(1);
  const std::int64_t count = rows.defined() ? rows.numel() : images.size(0);
  const Number number = number_of(type);
  TORCH_CHECK(channels == 3 || channels == 4 || channels == 8,
              "faces: expected 3, 4 or 8 channels, got ", channels);
  TORCH_CHECK(
      !rows.defined() || (rows.scalar_type() == at::kLong && is_column(rows, images, count)),
      "faces: expected rows as int64 [b] on the device of the images");
  const bool bytes =
      flips.defined() && (flips.scalar_type() == at::kByte || flips.scalar_type() == at::kBool);
  TORCH_CHECK(!flips.defined() || (bytes && is_column(flips, images, count)),
              "faces: expected flips as uint8 or bool [", count, "] on the device of the images");
  TORCH_CHECK(count * side * side <= std::numeric_limits<std::int32_t>::max(), "faces: ", count,
              " of side ", side, " are too many for one call");
  const c10::cuda::CUDAGuard guard(images.device());
  const at::Tensor faces = at::empty({count, channels, side, side}, images.options().dtype(type),
                                     at::MemoryFormat::ChannelsLast);
  if (faces.numel() == 0) return faces;
  const FaceImages from = {
      images.const_data_ptr<std::uint8_t>(),
      rows.defined() ? rows.const_data_ptr<std::int64_t>() : nullptr,
      flips.defined() ? static_cast<const std::uint8_t*>(flips.const_data_ptr()) : nullptr,
      static_cast<int>(side)};
  make_faces(from, count, number, static_cast<int>(channels), faces.mutable_data_ptr(),
             stream_of(images));
  return faces;
}

}  // namespace diffprob::model::gpu

#include "model/keyed_dropout.h"

#include <ATen/Parallel.h>

#include "data/keyed_random.h"

namespace diffprob::model {
namespace {

/// One hash serves two elements, 32 bits each: an element stays when its half is at least p * 2^32.
void fill_row(std::uint8_t* row, std::int64_t width, std::uint64_t row_key, std::uint64_t threshold) {
  for (std::int64_t f = 0; f < width; f += 2) {
    const std::uint64_t bits = data::splitmix64(row_key + static_cast<std::uint64_t>(f / 2));
    row[f] = (bits & 0xffffffffu) >= threshold;
    if (f + 1 < width) row[f + 1] = (bits >> 32) >= threshold;
  }
}

}  // namespace

at::Tensor keyed_dropout(const at::Tensor& features, double p, const StepContext& context) {
  TORCH_CHECK(p >= 0.0 && p < 1.0, "dropout: want a probability in [0, 1), got ", p);
  TORCH_CHECK(features.dim() == 2, "dropout: want [b, F] features, got ", features.sizes());
  const bool on_gpu = features.is_cuda();
  // Pinned: a pageable copy would make the host wait for the stream.
  const at::Tensor keep = at::empty(features.sizes(), at::TensorOptions().dtype(at::kByte).pinned_memory(on_gpu));
  const std::int64_t width = features.size(1);
  const auto threshold = static_cast<std::uint64_t>(p * 0x1p32);
  auto* mask = keep.data_ptr<std::uint8_t>();
  at::parallel_for(0, features.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const auto row = static_cast<std::uint64_t>(context.first_row + r);
      fill_row(mask + r * width, width, data::combine_key(context.key, row), threshold);
    }
  });
  const at::Tensor scale = keep.to(features.device(), /*non_blocking=*/on_gpu).to(features.scalar_type()).mul_(1.0 / (1.0 - p));
  return features * scale;
}

}  // namespace diffprob::model

#include "model/networks/keyed_dropout.h"

#include <ATen/Parallel.h>

#include "data/random/keyed_random.h"
#include "model/networks/dropout_gpu.h"
#include "model/networks/dropout_gpu_ops.h"

namespace diffprob::model {
namespace {

void fill_row(std::uint8_t* row, std::int64_t width, std::uint64_t row_key,
              std::uint64_t threshold) {
  for (std::int64_t f = 0; f < width; f += 2) {
    const auto both = gpu::thread::stays(row_key, f / 2, threshold);
    row[f] = both.first;
    if (f + 1 < width) row[f + 1] = both.second;
  }
}

}  // namespace

at::Tensor keyed_dropout(const at::Tensor& features, double p, const StepContext& context) {
  TORCH_CHECK(p >= 0.0 && p < 1.0, "dropout: expected a probability in [0, 1), got ", p);
  TORCH_CHECK(features.dim() == 2, "dropout: expected [b, F] features, got ", features.sizes());
  if (gpu::has_dropout(features)) return gpu::keyed_dropout(features, p, context);
  const at::Tensor keep = at::empty(features.sizes(), at::TensorOptions().dtype(at::kByte));
  const std::int64_t width = features.size(1);
  const auto threshold = static_cast<std::uint64_t>(p * 0x1p32);
  auto* mask = keep.data_ptr<std::uint8_t>();
  at::parallel_for(0, features.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const auto row = static_cast<std::uint64_t>(context.first_row + r);
      fill_row(mask + r * width, width, data::combine_key(context.key, row), threshold);
    }
  });
  const at::Tensor scale =
      keep.to(features.device()).to(features.scalar_type()).mul_(1.0 / (1.0 - p));
  return features * scale;
}

}  // namespace diffprob::model

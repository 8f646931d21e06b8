#include "model/inference/activation.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "model/inference/kernels.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // floats that are worth a thread

/// Own loops for float32 on the CPU; all else by LibTorch's operators.
bool has_host_loops(const at::TensorOptions& options) {
  return options.device().is_cpu() && options.dtype() == at::kFloat;
}

/// Pixels of a channels-last tensor on the CPU. Throws on another layout: the loops would mix up
/// channels.
std::int64_t pixels_of(const at::Tensor& x) {
  TORCH_INTERNAL_ASSERT(x.scalar_type() == at::kFloat &&
                        x.is_contiguous(at::MemoryFormat::ChannelsLast));
  return x.size(0) * x.size(2) * x.size(3);
}

std::int64_t grain_of(std::int64_t floats) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, floats));
}

at::Tensor slope_for(const at::Tensor& slope, std::int64_t channels,
                     const at::TensorOptions& options) {
  return slope.to(options).expand({channels}).contiguous();
}

/// The bias of every pixel, [1, channels, side, side].
at::Tensor bias_map(const at::Tensor& bias, std::int64_t side) {
  at::Tensor place = at::ones({side}, at::kLong);
  place[0] = 0;
  place[side - 1] = 2;
  return bias.index_select(0, place).index_select(1, place).permute({2, 0, 1}).unsqueeze(0);
}

}  // namespace

InferencePrelu::InferencePrelu(const at::Tensor& slope, std::int64_t channels,
                               const at::TensorOptions& options)
    : slope_(slope_for(slope, channels, options)) {}

void InferencePrelu::apply(at::Tensor& x) const {
  if (!has_host_loops(x.options())) {
    x = at::prelu(x, slope_);
    return;
  }
  const std::int64_t channels = x.size(1);
  float* pixels = x.mutable_data_ptr<float>();
  at::parallel_for(0, pixels_of(x), grain_of(channels), [&](std::int64_t begin, std::int64_t end) {
    host::prelu(pixels + begin * channels, end - begin, channels, slope_.const_data_ptr<float>());
  });
}

BorderedPrelu::BorderedPrelu(const BorderedWeights& folded, const at::Tensor& slope,
                             std::int64_t side, const at::TensorOptions& options)
    : slope_(slope_for(slope, folded.bias.size(2), options)), side_(side) {
  TORCH_CHECK(side >= 2,
              "inference network: expected images of at least 2 x 2 pixels in every block, got ",
              side);
  const bool host = has_host_loops(options);
  const at::Tensor bias = host ? folded.bias : bias_map(folded.bias, side);
  bias_ = bias.to(options).contiguous(host ? at::MemoryFormat::Contiguous
                                           : at::MemoryFormat::ChannelsLast);
}

void BorderedPrelu::apply(at::Tensor& x) const {
  TORCH_INTERNAL_ASSERT(x.size(2) == side_ && x.size(3) == side_);
  if (!has_host_loops(x.options())) {
    x = at::prelu(x.add_(bias_), slope_);
    return;
  }
  const std::int64_t channels = x.size(1), rows = pixels_of(x) / side_;
  float* pixels = x.mutable_data_ptr<float>();
  at::parallel_for(0, rows, grain_of(side_ * channels), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t y = row % side_;
      const std::int64_t place = y == 0 ? 0 : y + 1 < side_ ? 1 : 2;
      host::biased_prelu_row(pixels + row * side_ * channels, side_, channels,
                             bias_.const_data_ptr<float>() + place * 3 * channels,
                             slope_.const_data_ptr<float>());
    }
  });
}

at::Tensor channel_means(const at::Tensor& x) {
  if (!has_host_loops(x.options())) return x.mean({2, 3}, /*keepdim=*/true);
  const std::int64_t channels = x.size(1), pixels = x.size(2) * x.size(3);
  TORCH_INTERNAL_ASSERT(pixels_of(x) == x.size(0) * pixels);
  at::Tensor sums = at::empty({x.size(0), channels, 1, 1},
                              x.options().memory_format(at::MemoryFormat::ChannelsLast));
  at::parallel_for(0, x.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      host::channel_sums(x.const_data_ptr<float>() + i * pixels * channels, pixels, channels,
                         sums.mutable_data_ptr<float>() + i * channels);
    }
  });
  return sums.div_(static_cast<double>(pixels));
}

void add_scaled(at::Tensor& sum, const at::Tensor& values, const at::Tensor& scale) {
  if (!has_host_loops(sum.options())) {
    sum.addcmul_(values, scale);
    return;
  }
  const std::int64_t channels = sum.size(1), pixels = sum.size(2) * sum.size(3);
  TORCH_INTERNAL_ASSERT(pixels_of(sum) == pixels_of(values) &&
                        scale.numel() == sum.size(0) * channels);
  const at::Tensor own_scale = scale.contiguous();
  at::parallel_for(0, sum.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i * pixels * channels;
      host::add_scaled(sum.mutable_data_ptr<float>() + first,
                       values.const_data_ptr<float>() + first, pixels, channels,
                       own_scale.const_data_ptr<float>() + i * channels);
    }
  });
}

}  // namespace diffprob::model

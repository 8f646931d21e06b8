#include "model/batch_norm/ops.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "model/batch_norm/gpu_ops.h"
#include "model/batch_norm/kernels.h"

namespace diffprob::model {
namespace {

/// Pixels per chunk. Each chunk has its own float64 sums, which are added in order: results do not
/// depend on the number of threads.
constexpr std::int64_t kChunkPixels = 4096;

at::MemoryFormat format_of(const at::Tensor& x) {
  return x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast)
             ? at::MemoryFormat::ChannelsLast
             : at::MemoryFormat::Contiguous;
}

host::Rows rows_of(const at::Tensor& x) {
  const std::int64_t channels = x.size(1);
  if (x.dim() == 2 || format_of(x) == at::MemoryFormat::ChannelsLast)
    return {x.numel() / channels, channels};
  return {x.size(0), channels, x.size(2) * x.size(3)};
}

std::int64_t chunk_of(host::Rows rows) {
  return std::max<std::int64_t>(1, kChunkPixels / rows.plane);
}

const float* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
}

/// Returns a [C] tensor as [1, C, 1, ...], so that it broadcasts over x.
at::Tensor beside(const at::Tensor& channel, const at::Tensor& x) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[1] = x.size(1);
  return channel.view(shape);
}

std::vector<std::int64_t> all_but_channels(const at::Tensor& x) {
  std::vector<std::int64_t> dims = {0};
  for (std::int64_t d = 2; d < x.dim(); ++d) dims.push_back(d);
  return dims;
}

/// Widens the half types: sums and differences are taken in float32 at least.
at::Tensor widened(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

at::Tensor scale_of(const BatchAffine& affine, const BatchStatistics& statistics) {  // [C] float64
  return affine.weight.defined() ? affine.weight.to(at::kDouble) * statistics.inv_std
                                 : statistics.inv_std;
}

/// Float32 terms for the kernels. What rounding the mean takes away is put back into the shift.
struct FloatTerms {
  FloatTerms(const BatchAffine& affine, const BatchStatistics& statistics) : slope(affine.slope) {
    const at::Tensor wide_scale = scale_of(affine, statistics);
    mean = statistics.mean.to(at::kFloat);
    scale = wide_scale.to(at::kFloat);
    at::Tensor wide_shift = (mean.to(at::kDouble) - statistics.mean) * wide_scale;
    if (affine.bias.defined()) wide_shift += affine.bias;
    shift = wide_shift.to(at::kFloat);
  }
  [[nodiscard]] host::ChannelTerms pointers() const {
    return {mean.const_data_ptr<float>(),  scale.const_data_ptr<float>(),
            shift.const_data_ptr<float>(), data_or_null(slope),
            data_or_null(constant),        data_or_null(factor)};
  }
  at::Tensor mean, scale, shift;
  at::Tensor slope;             ///< undefined: no PReLU
  at::Tensor constant, factor;  ///< set only for the gradient of x
};

/// The arrays from element `at` on.
host::Arrays from_element(const host::Arrays& arrays, std::int64_t at) {
  const auto moved = [&](auto* pointer) { return pointer != nullptr ? pointer + at : nullptr; };
  return {moved(arrays.x), moved(arrays.grad), moved(arrays.residual), moved(arrays.out)};
}

/// Returns the sum over chunks of rows of what `body(first element, rows, sums [quantities,
/// channels])` finds in each.
template <class Body>
at::Tensor sum_of_chunks(host::Rows rows, std::int64_t quantities, const Body& body) {
  const std::int64_t chunk = chunk_of(rows);
  const std::int64_t chunks = (rows.count + chunk - 1) / chunk;
  const at::Tensor parts = at::zeros({chunks, quantities, rows.channels}, at::kDouble);
  double* values = parts.data_ptr<double>();
  at::parallel_for(0, chunks, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i * chunk;
      const host::Rows part = {std::min(chunk, rows.count - first), rows.channels, rows.plane};
      body(first * rows.channels * rows.plane, part, values + i * quantities * rows.channels);
    }
  });
  return parts.sum(0);
}

template <class Body>
void for_chunks(host::Rows rows, const Body& body) {
  const std::int64_t chunk = chunk_of(rows);
  at::parallel_for(0, (rows.count + chunk - 1) / chunk, 1,
                   [&](std::int64_t begin, std::int64_t end) {
                     const std::int64_t first = begin * chunk;
                     body(first * rows.channels * rows.plane,
                          {std::min(rows.count, end * chunk) - first, rows.channels, rows.plane});
                   });
}

bool has_host_kernels(const at::Tensor& x) {
  const bool dense =
      x.is_contiguous() || (x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast));
  return x.is_cpu() && x.scalar_type() == at::kFloat && (x.dim() == 4 || x.dim() == 2) && dense &&
         x.numel() > 0;
}

at::Tensor divided_by_count(const at::Tensor& sums, const BatchStatistics& statistics) {
  return statistics.shared_count.defined() ? sums / statistics.shared_count
                                           : sums / statistics.count;
}

/// Returns the gradient of BN's output, given that of the PReLU after it, and BN's output itself.
std::pair<at::Tensor, at::Tensor> through_prelu(const at::Tensor& grad, const at::Tensor& x,
                                                const BatchAffine& affine,
                                                const BatchStatistics& statistics) {
  const at::Tensor wide = widened(grad);
  if (!affine.slope.defined()) return {wide, {}};
  BatchAffine no_prelu = affine;
  no_prelu.slope = at::Tensor();
  const at::Tensor z = batch_normalize(widened(x), no_prelu, statistics, {});
  return {at::where(z > 0, wide, wide * beside(affine.slope, x)), z};
}

}  // namespace

bool has_batch_kernels(const at::Tensor& x) {
  return has_host_kernels(x) || gpu::has_batch_kernels(x);
}

at::Tensor batch_moments(const at::Tensor& x, const at::Tensor& known) {
  if (gpu::has_batch_kernels(x)) return gpu::batch_moments(x, known);
  if (!has_host_kernels(x)) {
    const auto [variance, mean] = at::var_mean(widened(x), all_but_channels(x), /*correction=*/0);
    return at::stack({mean.to(at::kDouble), variance.to(at::kDouble) * (x.numel() / x.size(1))});
  }
  const float* values = x.const_data_ptr<float>();
  const auto read = [&](std::int64_t at, host::Rows rows, double* out) {
    host::add_moments(values + at, rows, out, out + rows.channels);
  };
  const at::Tensor sums = known.defined() ? known : sum_of_chunks(rows_of(x), 2, read);
  const at::Tensor mean = sums[0] / (x.numel() / x.size(1));
  // Squares of float32 summed in float64 have digits enough for this difference.
  return at::stack({mean, (sums[1] - mean * sums[0]).clamp_min_(0)});
}

void update_running(const RunningStatistics& running, const at::Tensor& mean,
                    const at::Tensor& variance, const at::Tensor& count) {
  if (!running.mean.defined()) return;
  at::Tensor(running.num_batches).add_(1);
  const auto move = [&](at::Tensor average, const at::Tensor& value) {
    average.mul_(1 - running.momentum).add_(value.to(average.scalar_type()), running.momentum);
  };
  move(running.mean, running.lacks.defined() ? mean + running.lacks : mean);
  move(running.variance, variance * (count / (count - 1)));
}

BatchStatistics batch_statistics(const at::Tensor& x, double eps, const RunningStatistics& running,
                                 const at::Tensor& sums) {
  if (gpu::has_batch_kernels(x)) return gpu::batch_statistics(x, eps, running, sums);
  const at::Tensor moments = batch_moments(x, sums);
  const auto count = static_cast<double>(x.numel() / x.size(1));
  const at::Tensor variance = moments[1] / count;
  update_running(running, moments[0], variance, at::full({}, count, moments.options()));
  return {moments[0], (variance + eps).rsqrt(), count, {}, false};
}

at::Tensor batch_normalize(const at::Tensor& x, const BatchAffine& affine,
                           const BatchStatistics& statistics, const at::Tensor& residual,
                           at::Tensor* sums_of_output) {
  if (gpu::has_batch_kernels(x))
    return gpu::batch_normalize(x, affine, statistics, residual, sums_of_output);
  if (!has_host_kernels(x)) {
    const at::Tensor wide = widened(x);
    const auto channel = [&](const at::Tensor& values) {
      return beside(values.to(wide.scalar_type()), x);
    };
    at::Tensor y = (wide - channel(statistics.mean)) * channel(scale_of(affine, statistics));
    if (affine.bias.defined()) y = y + channel(affine.bias);
    if (affine.slope.defined()) y = at::where(y > 0, y, y * channel(affine.slope));
    if (residual.defined()) y = y + residual;
    return y.to(x.scalar_type());
  }
  const FloatTerms terms(affine, statistics);
  const at::Tensor other = residual.defined() ? residual.contiguous(format_of(x)) : residual;
  const at::Tensor y = at::empty_like(x);
  const host::Arrays arrays = {x.const_data_ptr<float>(), nullptr, data_or_null(other),
                               y.data_ptr<float>()};
  const auto write = [&](std::int64_t at, host::Rows rows) {
    host::normalize(from_element(arrays, at), terms.pointers(), rows);
  };
  if (sums_of_output == nullptr) {
    for_chunks(rows_of(x), write);
  } else {
    // A chunk is summed up right after it was written, while it is still in the cache.
    *sums_of_output =
        sum_of_chunks(rows_of(x), 2, [&](std::int64_t at, host::Rows rows, double* out) {
          write(at, rows);
          host::add_moments(arrays.out + at, rows, out, out + rows.channels);
        });
  }
  return y;
}

namespace {

/// Returns [2, C] or, with a slope, [3, C]: the third row is the gradient of the slope. known:
/// sums of the kernels, taken before.
at::Tensor gradient_sums(const at::Tensor& grad, const at::Tensor& x, const BatchAffine& affine,
                         const BatchStatistics& statistics, const at::Tensor& known) {
  const bool with_slope = affine.slope.defined();
  if (!has_host_kernels(x)) {
    const auto dims = all_but_channels(x);
    const auto [g, z] = through_prelu(grad, x, affine, statistics);
    const at::Tensor wide = widened(x);
    const at::Tensor away = wide - beside(statistics.mean.to(wide.scalar_type()), x);
    std::vector<at::Tensor> sums = {g.sum(dims, false, at::kDouble),
                                    (g * away).sum(dims, false, at::kDouble)};
    if (with_slope)
      sums.push_back(
          at::where(z > 0, at::zeros_like(z), widened(grad) * z).sum(dims, false, at::kDouble));
    return at::stack(sums);
  }
  const FloatTerms terms(affine, statistics);
  const host::Arrays arrays = {x.const_data_ptr<float>(), grad.const_data_ptr<float>()};
  const std::int64_t quantities = with_slope ? 3 : 2;
  const auto read = [&](std::int64_t at, host::Rows rows, double* out) {
    host::add_gradient_sums(
        from_element(arrays, at), terms.pointers(), rows,
        {out, out + rows.channels, with_slope ? out + 2 * rows.channels : nullptr});
  };
  const at::Tensor sums = known.defined() ? known : sum_of_chunks(rows_of(x), quantities, read);
  // The kernels took the mean rounded to float32; this makes the products those of the mean.
  sums[1].add_((terms.mean.to(at::kDouble) - statistics.mean) * sums[0]);
  return sums;
}

}  // namespace

BatchGradientSums batch_gradient_sums(const at::Tensor& grad, const at::Tensor& x,
                                      const BatchAffine& affine, const BatchStatistics& statistics,
                                      const BatchAffine& places, const at::Tensor& known) {
  if (gpu::has_batch_kernels(x))
    return gpu::batch_gradient_sums(grad, x, affine, statistics, places, known);
  const at::Tensor sums = gradient_sums(grad, x, affine, statistics, known);
  const auto stored = [](const at::Tensor& values, const at::Tensor& parameter, at::Tensor place) {
    return place.defined() ? place.copy_(values) : values.to(parameter.scalar_type());
  };
  BatchGradientSums found = {sums, {}, {}, {}};
  if (affine.weight.defined())
    found.weight = stored(sums[1] * statistics.inv_std, affine.weight, places.weight);
  if (affine.bias.defined()) found.bias = stored(sums[0], affine.bias, places.bias);
  if (affine.slope.defined()) found.slope = stored(sums[2], affine.slope, places.slope);
  return found;
}

namespace {

/// What the gradient of x gets from statistics that depend on x, [C] float64 each: grad_x =
/// g scale - constant - (x - mean) factor.
struct StatisticsTerms {
  at::Tensor constant, factor;
};
StatisticsTerms statistics_terms(const at::Tensor& scale, const BatchStatistics& statistics,
                                 const at::Tensor& sums) {
  if (statistics.frozen) return {at::zeros_like(scale), at::zeros_like(scale)};
  return {divided_by_count(scale * sums[0], statistics),
          divided_by_count(scale * statistics.inv_std.square() * sums[1], statistics)};
}

/// batch_input_gradient() by LibTorch's operators.
at::Tensor composed_input_gradient(const GivenGradients& given, const at::Tensor& x,
                                   const BatchAffine& affine, const BatchStatistics& statistics,
                                   const at::Tensor& sums) {
  const at::Tensor wide = widened(x);
  const auto channel = [&](const at::Tensor& values) {
    return beside(values.to(wide.scalar_type()), x);
  };
  const at::Tensor scale = scale_of(affine, statistics);
  const StatisticsTerms terms = statistics_terms(scale, statistics, sums);
  const at::Tensor g = through_prelu(given.of_output, x, affine, statistics).first;
  at::Tensor grad_x = g * channel(scale) - channel(terms.constant) -
                      (wide - channel(statistics.mean)) * channel(terms.factor);
  if (given.around.defined()) grad_x = grad_x + given.around;
  return grad_x.to(x.scalar_type());
}

}  // namespace

at::Tensor batch_input_gradient(const GivenGradients& given, const at::Tensor& x,
                                const BatchAffine& affine, const BatchStatistics& statistics,
                                const at::Tensor& sums, LayerBefore* before) {
  if (gpu::has_batch_kernels(x))
    return gpu::batch_input_gradient(given, x, affine, statistics, sums, before);
  if (!has_host_kernels(x)) return composed_input_gradient(given, x, affine, statistics, sums);
  const auto [constant, factor] = statistics_terms(scale_of(affine, statistics), statistics, sums);
  FloatTerms terms(affine, statistics);
  terms.factor = factor.to(at::kFloat);
  terms.constant =
      (constant + (terms.mean.to(at::kDouble) - statistics.mean) * factor).to(at::kFloat);
  const at::Tensor around =
      given.around.defined() ? given.around.contiguous(format_of(x)) : given.around;
  const at::Tensor grad_x = at::empty_like(x);
  const host::Arrays arrays = {x.const_data_ptr<float>(), given.of_output.const_data_ptr<float>(),
                               data_or_null(around), grad_x.data_ptr<float>()};
  const auto write = [&](std::int64_t at, host::Rows rows) {
    host::input_gradients(from_element(arrays, at), terms.pointers(), rows);
  };
  if (before == nullptr) {
    for_chunks(rows_of(x), write);
    return grad_x;
  }
  const at::Tensor mean = before->mean.to(at::kFloat);
  host::ChannelTerms layer{};
  layer.mean = mean.const_data_ptr<float>();
  const host::Arrays layer_arrays = {before->x.const_data_ptr<float>(), arrays.out};
  before->sums = sum_of_chunks(rows_of(x), 2, [&](std::int64_t at, host::Rows rows, double* out) {
    write(at, rows);
    host::add_gradient_sums(from_element(layer_arrays, at), layer, rows,
                            {out, out + rows.channels, nullptr});
  });
  return grad_x;
}

}  // namespace diffprob::model

#include "model/batch_norm/statistics.h"

#include <ATen/ATen.h>

#include "model/batch_norm/ops.h"

namespace diffprob::model {
namespace {

BatchStatistics frozen_statistics(const BatchNormLayer& layer) {
  const at::Tensor mean = layer.running.mean.to(at::kDouble);
  return {mean, (layer.running.variance.to(at::kDouble) + layer.eps).rsqrt(), 1, {}, true};
}

/// Moments over all ranks, float64.
struct GlobalMoments {
  at::Tensor mean;   ///< [C]
  at::Tensor m2;     ///< [C], sum of (x - mean)^2
  at::Tensor count;  ///< []
};

/// Combines each rank's moments by the distances of the means: sums of x^2 would lose variances far
/// below the mean.
GlobalMoments moments_over_ranks(const at::Tensor& local, std::int64_t local_count,
                                 dist::Communicator& sync) {
  const std::int64_t channels = local.size(1);
  const at::Tensor packed = at::cat({local.flatten(), at::full({1}, local_count, local.options())});
  const at::Tensor all = at::empty({sync.world_size(), packed.numel()}, local.options());
  sync.all_gather(all, packed.unsqueeze(0))->wait_stream();
  const at::Tensor means = all.slice(1, 0, channels), m2s = all.slice(1, channels, 2 * channels),
                   counts = all.slice(1, 2 * channels);
  const at::Tensor count = counts.sum();
  const at::Tensor mean = (means * counts).sum(0) / count;
  return {mean, (m2s + counts * (means - mean).square()).sum(0), count};
}

BatchStatistics training_statistics(const BatchNormLayer& layer, const at::Tensor& x,
                                    const BatchNormContext::Output& input,
                                    dist::Communicator* sync) {
  const std::int64_t local_count = x.numel() / x.size(1);
  TORCH_CHECK(sync != nullptr || local_count > 1,
              "batch norm: expected more than one value per channel in training, got input ",
              x.sizes());
  RunningStatistics running = layer.running;
  running.lacks = input.lacks;
  if (sync == nullptr) return batch_statistics(x, layer.eps, running, input.sums);
  const GlobalMoments moments =
      moments_over_ranks(batch_moments(x, input.sums), local_count, *sync);
  const at::Tensor variance = moments.m2 / moments.count;
  update_running(running, moments.mean, variance, moments.count);
  return {moments.mean, (variance + layer.eps).rsqrt(), static_cast<double>(local_count),
          moments.count, false};
}

}  // namespace

BatchStatistics statistics_of(const BatchNormLayer& layer, const at::Tensor& x,
                              const BatchNormContext::Output& input, BatchNormContext& context) {
  const at::NoGradGuard no_grad;
  if (context.tape != nullptr && context.repeating) return context.tape->next();
  BatchStatistics statistics = layer.training ? training_statistics(layer, x, input, context.sync)
                                              : frozen_statistics(layer);
  if (context.tape != nullptr) context.tape->keep(statistics);
  return statistics;
}

}  // namespace diffprob::model

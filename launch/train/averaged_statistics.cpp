#include "launch/train/averaged_statistics.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace diffprob::launch {

model::StateDict statistics_of(const torch::nn::Module& module) {
  model::StateDict statistics;
  for (const auto& named : module.named_buffers()) {
    if (named.value().is_floating_point()) statistics.emplace_back(named.key(), named.value());
  }
  return statistics;
}

AveragedStatistics::AveragedStatistics(model::StateDict statistics,
                                       dist::Communicator& communicator) {
  if (communicator.world_size() == 1 || statistics.empty()) return;
  const at::NoGradGuard no_grad;
  averaged_ = std::move(statistics);
  std::vector<at::Tensor> parts;
  for (const auto& [name, tensor] : averaged_) {
    own_.emplace_back(name, tensor.clone());
    parts.push_back(tensor.flatten());
  }
  const at::Tensor mean = at::cat(parts);
  communicator.all_reduce(mean)->wait_stream();
  mean.div_(communicator.world_size());
  std::int64_t at = 0;
  for (const auto& [name, tensor] : averaged_) {
    tensor.copy_(mean.narrow(0, at, tensor.numel()).view(tensor.sizes()));
    at += tensor.numel();
  }
}

AveragedStatistics::~AveragedStatistics() {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < averaged_.size(); ++i) averaged_[i].second.copy_(own_[i].second);
}

}  // namespace diffprob::launch

#include "model/optim/kept_buffers.h"

#include <map>

namespace diffprob::model {
namespace {

at::Tensor flattened(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> parts;
  parts.reserve(tensors.size());
  for (const auto& tensor : tensors) parts.push_back(tensor.flatten());
  return at::cat(parts);
}

}  // namespace

KeptBuffers::KeptBuffers(const torch::nn::Module& module) {
  std::map<at::ScalarType, std::vector<at::Tensor>> by_type;
  for (const auto& buffer : module.buffers()) by_type[buffer.scalar_type()].push_back(buffer);
  for (auto& [type, buffers] : by_type) kinds_.push_back({std::move(buffers), {}});
}

void KeptBuffers::keep() {
  const at::NoGradGuard no_grad;
  for (auto& kind : kinds_) kind.kept = flattened(kind.buffers);
}

void KeptBuffers::restore_unless(const at::Tensor& apply) {
  const at::NoGradGuard no_grad;
  for (auto& kind : kinds_) {
    TORCH_CHECK(kind.kept.defined(), "buffers: restored before they were kept");
    const at::Tensor chosen = at::where(apply != 0, flattened(kind.buffers), kind.kept);
    std::vector<at::Tensor> parts;
    std::int64_t first = 0;
    for (const auto& buffer : kind.buffers) {
      parts.push_back(chosen.narrow(0, first, buffer.numel()).view(buffer.sizes()));
      first += buffer.numel();
    }
    at::_foreach_copy_(kind.buffers, parts);
  }
}

}  // namespace diffprob::model

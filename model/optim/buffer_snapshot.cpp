#include "model/optim/buffer_snapshot.h"

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

BufferSnapshot::BufferSnapshot(const torch::nn::Module& module) {
  std::map<at::ScalarType, std::vector<at::Tensor>> by_type;
  for (const auto& buffer : module.buffers()) by_type[buffer.scalar_type()].push_back(buffer);
  for (auto& [type, buffers] : by_type) kinds_.push_back({std::move(buffers), {}});
}

void BufferSnapshot::save() {
  const at::NoGradGuard no_grad;
  for (auto& kind : kinds_) kind.saved = flattened(kind.buffers);
}

void BufferSnapshot::restore_if_skipped(const at::Tensor& do_update) {
  const at::NoGradGuard no_grad;
  for (auto& kind : kinds_) {
    TORCH_CHECK(kind.saved.defined(), "buffers: restored before they were saved");
    const at::Tensor chosen = at::where(do_update != 0, flattened(kind.buffers), kind.saved);
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

#include "tests/model/golden_network.h"

#include <cmath>
#include <string>

#include "model/weights/weights.h"
#include "tests/support/golden.h"

namespace diffprob::tests {
namespace {

/// mbf and mbf_large number their layers: the PReLU is the third of a block.
bool is_prelu(const std::string& name, const at::Tensor& tensor) {
  return name.find("prelu") != std::string::npos ||
         (name.ends_with(".layers.2.weight") && tensor.dim() == 1);
}

double filled_value(const std::string& name, const at::Tensor& tensor, double u) {
  if (name.ends_with("running_mean") || name.ends_with("bias")) return (u - 0.5) * 0.125;
  if (name.ends_with("running_var")) return 0.75 + 0.5 * u;
  if (is_prelu(name, tensor)) return 0.25 + 0.125 * (u - 0.5);
  if (tensor.dim() >= 2)
    return (u - 0.5) * 2 * std::sqrt(3.0 / static_cast<double>(tensor.numel() / tensor.size(0)));
  return 0.75 + 0.5 * u;
}

}  // namespace

void fill_network(torch::nn::Module& module, std::uint64_t seed) {
  torch::NoGradGuard no_grad;
  const model::StateDict entries = model::state_dict(module);
  for (std::size_t k = 0; k < entries.size(); ++k) {
    const auto& [name, tensor] = entries[k];
    if (name.ends_with("num_batches_tracked")) {
      tensor.detach().zero_();
      continue;
    }
    at::Tensor values = at::empty(tensor.sizes(), at::kFloat);
    float* out = values.data_ptr<float>();
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      out[i] = static_cast<float>(
          filled_value(name, tensor, hash_uniform(seed, k, static_cast<std::uint64_t>(i))));
    }
    tensor.detach().copy_(values);
  }
}

at::Tensor hashed_tensor(std::uint64_t seed, std::uint64_t stream, at::IntArrayRef shape) {
  at::Tensor values = at::empty(shape, at::kFloat);
  float* out = values.data_ptr<float>();
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    out[i] = static_cast<float>(2 * hash_uniform(seed, stream, static_cast<std::uint64_t>(i)) - 1);
  }
  return values;
}

}  // namespace diffprob::tests

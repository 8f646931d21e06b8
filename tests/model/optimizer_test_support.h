#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include <torch/optim.h>
#include <torch/types.h>

namespace diffprob::tests {

/// The same parameters twice: for our update and for the one it is measured against.
struct Pair {
  std::vector<torch::Tensor> ours;
  std::vector<torch::Tensor> theirs;
};

inline Pair make_parameters(torch::Dtype dtype) {
  torch::manual_seed(3);
  Pair pair;
  for (const auto& sizes :
       std::vector<std::vector<std::int64_t>>{{7, 5}, {3}, {4, 3, 3, 3}, {1}, {11}}) {
    auto values = torch::randn(sizes, dtype);
    if (sizes.size() == 4) values = values.contiguous(torch::MemoryFormat::ChannelsLast);
    pair.ours.push_back(values.clone().set_requires_grad(true));
    pair.theirs.push_back(values.clone().set_requires_grad(true));
  }
  return pair;
}

/// Of the first `count` parameters.
inline void set_gradients(Pair& pair, std::size_t count, double scale) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto gradient = torch::randn_like(pair.ours[i]) * scale;
    pair.ours[i].mutable_grad() = gradient.clone();
    pair.theirs[i].mutable_grad() = gradient.clone();
  }
}

inline double worst(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  double worst = a.size() == b.size() ? 0 : std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    worst = std::max(worst, (a[i] - b[i]).abs().max().item<double>());
  return worst;
}

inline std::vector<torch::Tensor> clones(const std::vector<torch::Tensor>& tensors) {
  std::vector<torch::Tensor> result;
  for (const auto& tensor : tensors) result.push_back(tensor.detach().clone());
  return result;
}

/// Bit for bit, where NaN is itself.
inline bool same_bits(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto left = a[i].detach().contiguous();
    const auto right = b[i].detach().contiguous();
    if (left.sizes() != right.sizes() || left.scalar_type() != right.scalar_type()) return false;
    if (std::memcmp(left.const_data_ptr(), right.const_data_ptr(), left.nbytes()) != 0)
      return false;
  }
  return true;
}

}  // namespace diffprob::tests

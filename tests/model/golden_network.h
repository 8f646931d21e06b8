#pragma once

#include <cstdint>

#include <torch/nn/module.h>

namespace diffprob::tests {

/// fill(seed) of the golden README, on every entry of the state dict.
void fill_network(torch::nn::Module& module, std::uint64_t seed);

/// 2 u(seed, stream, i) - 1, float32, row-major.
[[nodiscard]] at::Tensor hashed_tensor(std::uint64_t seed, std::uint64_t stream,
                                       at::IntArrayRef shape);

}  // namespace diffprob::tests

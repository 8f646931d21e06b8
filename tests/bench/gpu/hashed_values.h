#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include <ATen/ATen.h>

#include "model/weights/weights.h"

/// Inputs of the benchmarks as a function of (key, element) alone, the same on every device and,
/// from hashed_values.py, in Python: ours and the peer work on the same numbers.
namespace diffprob::bench {

/// Keys of what the benchmarks make. Of batch i: kImages + i ...; of entry i of a state dict:
/// kNetwork + i.
enum HashKey : std::int64_t {
  kCentres = 1,
  kImages = 10,
  kLabels = 20,
  kEmbeddings = 30,
  kNetwork = 1000
};

/// 32-bit finaliser of MurmurHash3, element by element, in int64.
inline at::Tensor mixed(at::Tensor x) {
  constexpr std::int64_t kMask = 0xFFFFFFFF;
  x = at::bitwise_xor(x, at::bitwise_right_shift(x, 16)).mul_(0x85EBCA6B).bitwise_and_(kMask);
  x = at::bitwise_xor(x, at::bitwise_right_shift(x, 13)).mul_(0xC2B2AE35).bitwise_and_(kMask);
  return at::bitwise_xor(x, at::bitwise_right_shift(x, 16));
}

/// [count] int64 in [0, 2^32), of elements first, first + 1, ... (below 2^32) under a key.
inline at::Tensor hashed_bits(std::int64_t key, std::int64_t first, std::int64_t count,
                              at::Device device) {
  constexpr std::int64_t kMask = 0xFFFFFFFF;
  const at::Tensor elements =
      at::arange(first, first + count, at::TensorOptions().dtype(at::kLong).device(device));
  return mixed(mixed(elements).add_(key * 0x9E3779B1 & kMask).bitwise_and_(kMask));
}

/// `values` (contiguous float32) become centre + width * u, u uniform in [-1, 1).
inline void fill_hashed(const at::Tensor& values, std::int64_t key, double width,
                        double centre = 0) {
  constexpr std::int64_t kPiece = std::int64_t{1} << 24;
  const at::Tensor flat = values.view({-1});
  for (std::int64_t first = 0; first < flat.numel(); first += kPiece) {
    const std::int64_t count = std::min(kPiece, flat.numel() - first);
    const at::Tensor bits =
        at::bitwise_right_shift(hashed_bits(key, first, count, values.device()), 8);
    flat.narrow(0, first, count)
        .copy_(bits.to(at::kFloat).mul_(0x1p-23).sub_(1).mul_(width).add_(centre));
  }
}

/// uint8 [rows, 112, 112, 3].
inline at::Tensor hashed_images(std::int64_t batch, std::int64_t rows, at::Device device) {
  const at::Tensor bits = hashed_bits(kImages + batch, 0, rows * 112 * 112 * 3, device);
  return at::bitwise_right_shift(bits, 24).to(at::kByte).view({rows, 112, 112, 3});
}

/// int64 [rows] in [0, classes).
inline at::Tensor hashed_labels(std::int64_t batch, std::int64_t rows, std::int64_t classes,
                                at::Device device) {
  return hashed_bits(kLabels + batch, 0, rows, device).remainder(classes);
}

/// Class centres [C, D] of deviation 0.01.
inline void fill_centres(const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  fill_hashed(weight, kCentres, 0.01 * std::sqrt(3.0));
}

/// All of a network, with variances that a network in evaluation mode stands: statistics near (0,
/// 1), the last scale of a residual branch small.
inline void fill_network(const torch::nn::Module& network) {
  const at::NoGradGuard no_grad;
  std::int64_t key = kNetwork;
  for (const auto& [name, tensor] : model::state_dict(network)) {
    const auto ends = [&name = name](const char* ending) { return name.ends_with(ending); };
    if (tensor.dim() > 1) {
      const at::Tensor values =
          at::empty(tensor.sizes(), tensor.options(), at::MemoryFormat::Contiguous);
      fill_hashed(values, key,
                  std::sqrt(3.0 * static_cast<double>(tensor.size(0)) /
                            static_cast<double>(tensor.numel())));
      at::Tensor(tensor).copy_(values);
    } else if (ends("prelu.weight")) {
      fill_hashed(tensor, key, 0.1, 0.25);
    } else if (ends("bias") || ends("running_mean")) {
      fill_hashed(tensor, key, 0.1);
    } else if (ends("bn3.weight") || ends("project.bn.weight")) {
      fill_hashed(tensor, key, 0.04, 0.2);
    } else if (tensor.is_floating_point() && tensor.dim() == 1) {
      fill_hashed(tensor, key, 0.2, 1);
    }
    ++key;
  }
}

}  // namespace diffprob::bench

#pragma once

#include <cstdint>
#include <string>

#include <torch/nn/module.h>

namespace diffprob::model {

/// Distribution of convolution weights; all else follows from the kind of layer, see
/// initialise_weights.
enum class ConvolutionInit {
  kNormal,         ///< N(0, 0.1), as the reference's IResNet
  kKaimingFanOut,  ///< N(0, sqrt(2 / fan_out)), as the reference's MobileFaceNet; linear layers
                   ///< too. fan_out = shape[0] * kernel area
};

/// Sets every convolution and linear layer below `module`. Linear layers of an IResNet get
/// U(-1/sqrt(fan_in), 1/sqrt(fan_in)), weight and bias (PyTorch's default). Batch norms (1, 0) and
/// PReLUs (0.25) already are as they should be when constructed. Element i of a parameter is a pure
/// function of (seed, full parameter name, i).
void initialise_weights(torch::nn::Module& module, ConvolutionInit kind, std::uint64_t seed);

/// Fills one float32 parameter with N(0, deviation), or with U(-bound, bound), keyed as above.
void initialise_normal(at::Tensor parameter, double deviation, std::uint64_t seed,
                       const std::string& name);
void initialise_uniform(at::Tensor parameter, double bound, std::uint64_t seed,
                        const std::string& name);

}  // namespace diffprob::model

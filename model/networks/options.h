#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace diffprob::dist {
class Communicator;
class GradientPlaces;
}  // namespace diffprob::dist

namespace diffprob::model {

class SixteenBitWeights;

struct BackboneOptions {
  std::string name = "iresnet50";    ///< one of backbone_names()
  std::int64_t embedding_dim = 512;  ///< D
  double dropout = 0.4;  ///< before the last fully connected layer (IResNet kinds), in training
  /// Seed of the initial weights. They are keyed by name: the same weights whatever the order of
  /// construction.
  std::uint64_t seed = 1;
  bool recompute = false;  ///< blocks keep only their input and run again in the backward pass
  /// Batch norm over the batches of all ranks of this communicator (training is then collective);
  /// null: over those of each rank. It must outlive the network.
  dist::Communicator* sync_batch_norm = nullptr;
  /// Use the fused kernels where they apply (batch_norm/ops.h); false: LibTorch's operators.
  bool fused_batch_norm = true;
  /// Those kernels also sum up outputs that go to another batch norm (IResNet kinds).
  bool sum_outputs = false;
  /// The first batch norm of a block is folded into the convolution after it (folded_norm/ops.h),
  /// in training and where our kernels apply (IResNet kinds).
  bool fold_norms = false;
  /// Vision transformers, in training: share of the residual branches that the last block drops
  /// (stochastic depth), and share of the patches that are left out; -1: the published value.
  double drop_path = -1;
  double mask_ratio = -1;
  /// Convolutions and batch norms write gradients of their parameters there; may be null. It must
  /// outlive the network, as must the next one.
  dist::GradientPlaces* gradient_places = nullptr;
  /// Convolutions take their weights in 16 bit from there, where it has them; may be null.
  const SixteenBitWeights* sixteen_bit_weights = nullptr;
};

/// "iresnet18" ... "mobilefacenet", "mbf", "mbf_large", "vit_t" ..., "tiny".
[[nodiscard]] std::vector<std::string> backbone_names();

/// Returns true for the names of vision transformers, the networks with drop path and masks.
[[nodiscard]] inline bool is_vision_transformer(std::string_view name) {
  return name.starts_with("vit_") || name.starts_with("cvlface_vit_");
}

}  // namespace diffprob::model

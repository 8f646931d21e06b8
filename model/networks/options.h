#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace diffprob::dist {
class Communicator;
}  // namespace diffprob::dist

namespace diffprob::model {

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
};

/// "iresnet18" ... "mobilefacenet", "mbf", "mbf_large", "tiny".
[[nodiscard]] std::vector<std::string> backbone_names();

}  // namespace diffprob::model

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>

#include "model/networks/options.h"

namespace diffprob::model {

/// Keys of this step's dropout masks: a mask is a function of (key, row of the global batch,
/// element), so it does not depend on the number of ranks.
struct StepContext {
  std::uint64_t key = 0;
  std::int64_t first_row = 0;  ///< row of the global batch that row 0 of this rank's input is
  at::Tensor device_key{};  ///< [1] int64 on the GPU, bits of the key: for a step that is recorded
                            ///< once and replayed with other keys
};

/// Faces [b, 3, 112, 112] float, (x / 255 - 0.5) / 0.5, RGB -> embeddings [b, D], not normalised.
/// State-dict names are those of InsightFace's and the paper's PyTorch models; mobilefacenet is the
/// paper's, mbf and mbf_large are arcface_torch's.
class Backbone : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(torch::Tensor faces) = 0;
  void set_step_context(StepContext context) { context_ = std::move(context); }
  [[nodiscard]] virtual std::int64_t embedding_dim() const = 0;

 protected:
  StepContext context_;
};

/// With initial weights of the reference's distributions, deterministic by (seed, parameter name).
/// Throws c10::Error on an unknown name.
[[nodiscard]] std::shared_ptr<Backbone> make_backbone(const BackboneOptions& options);

}  // namespace diffprob::model

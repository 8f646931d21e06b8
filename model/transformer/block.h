#pragma once

#include <cstdint>

#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include "model/batch_norm/batch_norm.h"

namespace diffprob::model {

/// Sizes of the blocks of one transformer.
struct BlockShape {
  std::int64_t width = 256;    ///< C, numbers per token
  std::int64_t heads = 8;      ///< of the attention, C / heads numbers each
  std::int64_t hidden = 1024;  ///< of the two-layer perceptron
};

/// Which images of a batch take part in a residual branch, under stochastic depth. The others are
/// not computed.
struct BranchImages {
  at::Tensor images;  ///< [k] int64, ascending, on the tokens' device; undefined: all
  double factor = 1;  ///< of what the branch adds
};

/// The two branches of a block.
struct BlockImages {
  BranchImages attention, perceptron;
};

/// Tokens of a batch: those of an image are consecutive rows.
struct Tokens {
  at::Tensor rows;          ///< [images * n, C]
  std::int64_t images = 0;  ///< b
};

/// Attention of every token to all tokens of its image, by several heads: a linear map without bias
/// to queries, keys and values, LibTorch's fused attention, a linear map with bias.
class SelfAttention : public torch::nn::Module {
 public:
  SelfAttention(std::int64_t width, std::int64_t heads);
  torch::Tensor forward(const Tokens& tokens);

 private:
  std::int64_t heads_;
  torch::nn::Linear qkv_{nullptr}, proj_{nullptr};
};

/// Two linear maps with ReLU6 between them.
class Perceptron : public torch::nn::Module {
 public:
  Perceptron(std::int64_t width, std::int64_t hidden);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  torch::nn::Linear fc1_{nullptr}, fc2_{nullptr};
};

/// x + attention(norm1(x)), then y + perceptron(norm2(y)).
class TransformerBlock : public torch::nn::Module {
 public:
  TransformerBlock(const BlockShape& shape, std::shared_ptr<BatchNormContext> context,
                   bool recompute);
  /// Returns [images * n, C].
  torch::Tensor forward(const Tokens& tokens, const BlockImages& taking_part);

 private:
  torch::Tensor compute(const Tokens& tokens, const BlockImages& taking_part);

  std::shared_ptr<BatchNormContext> norm_context_;  ///< what recomputed() asks for
  bool recompute_;
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr};
  std::shared_ptr<SelfAttention> attn_;
  std::shared_ptr<Perceptron> mlp_;
};

}  // namespace diffprob::model

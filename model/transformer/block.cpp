#include "model/transformer/block.h"

#include <torch/nn/options/normalization.h>

#include "model/networks/fused_linear.h"
#include "model/networks/recompute.h"
#include "model/transformer/fused_perceptron.h"

namespace diffprob::model {
namespace nn = torch::nn;
namespace {

/// tokens + factor * branch(tokens of the images that take part).
template <class Branch>
at::Tensor add_branch(const Tokens& tokens, const BranchImages& taking_part, const Branch& branch) {
  if (!taking_part.images.defined()) return tokens.rows + branch(tokens);
  const at::Tensor by_image = tokens.rows.view({tokens.images, -1});
  const at::Tensor some = by_image.index_select(0, taking_part.images);
  const std::int64_t count = some.size(0);
  const at::Tensor added = branch(Tokens{some.view({-1, tokens.rows.size(1)}), count});
  return by_image
      .index_add(0, taking_part.images, added.view({count, -1}).to(by_image.scalar_type()),
                 taking_part.factor)
      .view_as(tokens.rows);
}

}  // namespace

SelfAttention::SelfAttention(std::int64_t width, std::int64_t heads) : heads_(heads) {
  TORCH_CHECK(heads > 0 && width % heads == 0, "attention: ", width, " numbers per token and ",
              heads, " heads; expected a multiple");
  qkv_ = register_module("qkv", nn::Linear(nn::LinearOptions(width, 3 * width).bias(false)));
  proj_ = register_module("proj", nn::Linear(width, width));
}

torch::Tensor SelfAttention::forward(const Tokens& tokens) {
  const std::vector<at::Tensor> qkv =  // [b, heads, n, C / heads] each
      linear(*qkv_, tokens.rows)
          .view({tokens.images, -1, 3, heads_, qkv_->weight.size(1) / heads_})
          .permute({2, 0, 3, 1, 4})
          .unbind(0);
  const at::Tensor mixed = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);
  return linear(*proj_, mixed.transpose(1, 2).reshape({tokens.rows.size(0), -1}));
}

Perceptron::Perceptron(std::int64_t width, std::int64_t hidden) {
  fc1_ = register_module("fc1", nn::Linear(width, hidden));
  fc2_ = register_module("fc2", nn::Linear(hidden, width));
}

torch::Tensor Perceptron::forward(const torch::Tensor& x) {
  return perceptron(*fc1_, *fc2_, x);
}

TransformerBlock::TransformerBlock(const BlockShape& shape,
                                   std::shared_ptr<BatchNormContext> context, bool recompute)
    : norm_context_(std::move(context)), recompute_(recompute) {
  norm1_ = register_module("norm1", nn::LayerNorm(nn::LayerNormOptions({shape.width})));
  norm2_ = register_module("norm2", nn::LayerNorm(nn::LayerNormOptions({shape.width})));
  attn_ = register_module("attn", std::make_shared<SelfAttention>(shape.width, shape.heads));
  mlp_ = register_module("mlp", std::make_shared<Perceptron>(shape.width, shape.hidden));
}

torch::Tensor TransformerBlock::forward(const Tokens& tokens, const BlockImages& taking_part) {
  if (!recompute_) return compute(tokens, taking_part);
  return recomputed(
      [this, images = tokens.images, taking_part](const at::Tensor& x) {
        return compute({x, images}, taking_part);
      },
      tokens.rows, norm_context_);
}

torch::Tensor TransformerBlock::compute(const Tokens& tokens, const BlockImages& taking_part) {
  const at::Tensor seen = add_branch(tokens, taking_part.attention, [&](const Tokens& some) {
    return attn_->forward({norm1_->forward(some.rows), some.images});
  });
  return add_branch({seen, tokens.images}, taking_part.perceptron,
                    [&](const Tokens& some) { return mlp_->forward(norm2_->forward(some.rows)); });
}

}  // namespace diffprob::model

// The vision transformer in training against a slow version that goes image by image, with the
// masks and dropped branches that it draws.
#include "model/transformer/vision_transformer.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/inference/autocast.h"
#include "model/optim/optimizer.h"
#include "model/transformer/draws.h"
#include "model/weights/weights.h"
#include "tests/model/golden_network.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kDim = 24;
const StepContext kStep{.key = 17, .first_row = 6};

at::Tensor faces_of(std::int64_t batch) {
  return tests::hashed_tensor(5, 0, {batch, 3, 112, 112});
}

std::shared_ptr<VisionTransformer> nano(double drop_path, double mask_ratio,
                                        at::ScalarType type = at::kDouble) {
  const BackboneOptions options{
      .name = "vit_nano", .embedding_dim = kDim, .drop_path = drop_path, .mask_ratio = mask_ratio};
  auto net = std::dynamic_pointer_cast<VisionTransformer>(make_backbone(options));
  tests::fill_network(*net, 3);
  net->to(type);
  net->train();
  net->set_step_context(kStep);
  return net;
}

/// Forward in training mode with the plainest operators, one image and one head at a time.
class SlowTransformer {
 public:
  explicit SlowTransformer(const VisionTransformer& net) : shape_(net.shape()) {
    for (const auto& item : net.named_parameters()) at_[item.key()] = item.value().detach();
  }

  at::Tensor forward(const at::Tensor& faces, const at::Tensor& kept, const at::Tensor& factors) {
    std::vector<at::Tensor> flat;
    for (std::int64_t i = 0; i < faces.size(0); ++i) {
      at::Tensor all = at_["mask_token"].view({1, -1}).repeat({shape_.patches(), 1});
      at::Tensor x = patches(faces[i]).index_select(0, kept[i]);
      for (std::int64_t b = 0; b < shape_.depth; ++b) {
        const std::string name = "blocks." + std::to_string(b);
        x = x + factors[b][0][i] * attention(norm(x, name + ".norm1"), name + ".attn");
        x = x + factors[b][1][i] * perceptron(norm(x, name + ".norm2"), name + ".mlp");
      }
      x = norm(x, "norm");
      for (std::int64_t t = 0; t < kept.size(1); ++t) all[kept[i][t].item<std::int64_t>()] = x[t];
      flat.push_back(all.flatten());
    }
    const at::Tensor inner =
        batch_norm(at::stack(flat).mm(at_["feature.0.weight"].t()), "feature.1");
    return batch_norm(inner.mm(at_["feature.2.weight"].t()), "feature.3");
  }

 private:
  at::Tensor patches(const at::Tensor& face) {
    std::vector<at::Tensor> rows;
    const std::int64_t p = shape_.patch;
    const at::Tensor weight = at_["patch_embed.proj.weight"].flatten(1);
    for (std::int64_t y = 0; y < shape_.side(); ++y) {
      for (std::int64_t x = 0; x < shape_.side(); ++x) {
        const at::Tensor pixels = face.narrow(1, y * p, p).narrow(2, x * p, p).flatten();
        rows.push_back(weight.mv(pixels) + at_["patch_embed.proj.bias"]);
      }
    }
    return at::stack(rows) + at_["pos_embed"][0];
  }

  at::Tensor norm(const at::Tensor& x, const std::string& name) {
    const at::Tensor centred = x - x.mean(1, true);
    return centred / (centred.square().mean(1, true) + 1e-5).sqrt() * at_[name + ".weight"] +
           at_[name + ".bias"];
  }

  at::Tensor batch_norm(const at::Tensor& x, const std::string& name) {
    const at::Tensor centred = x - x.mean(0, true);
    return centred / (centred.square().mean(0, true) + 2e-5).sqrt() * at_[name + ".weight"] +
           at_[name + ".bias"];
  }

  at::Tensor attention(const at::Tensor& x, const std::string& name) {
    const std::int64_t width = shape_.block.width, each = width / shape_.block.heads;
    const at::Tensor qkv = x.mm(at_[name + ".qkv.weight"].t());
    std::vector<at::Tensor> heads;
    for (std::int64_t h = 0; h < shape_.block.heads; ++h) {
      const auto part = [&](std::int64_t which) {
        return qkv.narrow(1, which * width + h * each, each);
      };
      const at::Tensor scores = part(0).mm(part(1).t()) / std::sqrt(static_cast<double>(each));
      heads.push_back(at::softmax(scores, 1).mm(part(2)));
    }
    return at::cat(heads, 1).mm(at_[name + ".proj.weight"].t()) + at_[name + ".proj.bias"];
  }

  at::Tensor perceptron(const at::Tensor& x, const std::string& name) {
    const at::Tensor hidden = x.mm(at_[name + ".fc1.weight"].t()) + at_[name + ".fc1.bias"];
    return hidden.clamp(0, 6).mm(at_[name + ".fc2.weight"].t()) + at_[name + ".fc2.bias"];
  }

  VisionTransformerShape shape_;
  std::map<std::string, at::Tensor> at_;
};

TEST(VisionTransformer, TrainsAsTheSlowVersionWithItsDraws) {
  const at::NoGradGuard no_grad;
  constexpr std::int64_t kBatch = 5;
  const at::Tensor faces = faces_of(kBatch).to(at::kDouble);
  struct Rates {
    double drop_path, mask_ratio;
  };
  for (const auto& [drop_path, mask_ratio] :
       {Rates{0, 0}, Rates{0.5, 0}, Rates{0, 0.3}, Rates{0.5, 0.3}}) {
    const auto net = nano(drop_path, mask_ratio);
    const VisionTransformerShape& shape = net->shape();
    const at::Tensor kept =
        draw_kept_patches(kBatch, shape.patches(), shape.masked_patches(), kStep);
    const at::Tensor factors = draw_branch_factors(kBatch, shape.depth, drop_path, kStep);

    const at::Tensor found = net->forward(faces);

    EXPECT_LT(
        (found - SlowTransformer(*net).forward(faces, kept, factors)).abs().max().item<double>(),
        1e-9)
        << drop_path << " " << mask_ratio;
    EXPECT_EQ(kept.size(1), mask_ratio > 0 ? 100 : 144);  // 144 * 0.7 = 100.8, rounded down
    EXPECT_EQ((factors == 0).any().item<bool>(), drop_path > 0);
  }
}

TEST(VisionTransformer, DrawsNothingInEvaluation) {
  const at::NoGradGuard no_grad;
  const auto with = nano(0.5, 0.3), without = nano(0, 0);
  with->eval();
  without->eval();
  const at::Tensor faces = faces_of(2).to(at::kDouble);
  EXPECT_TRUE(at::equal(with->forward(faces), without->forward(faces)));
}

TEST(VisionTransformer, PublishedShapesAndRates) {
  const auto shape = [](const std::string& name) { return vision_transformer_shape(name).value(); };
  EXPECT_EQ(shape("vit_t").block.width, 256);
  EXPECT_EQ(shape("vit_b").depth, 24);
  EXPECT_EQ(shape("vit_l").drop_path, 0.05);
  EXPECT_EQ(shape("vit_t").masked_patches(), 15);  // 129 of 144 stay
  EXPECT_EQ(shape("vit_h").masked_patches(), 0);
  EXPECT_EQ(shape("cvlface_vit_s").patches(), 196);
  EXPECT_EQ(shape("cvlface_vit_s").masked_patches(), 20);  // 176 of 196 stay
  EXPECT_FALSE(vision_transformer_shape("vit_x").has_value());
  EXPECT_THROW((void)nano(1.0, 0), c10::Error);
  EXPECT_THROW((void)nano(0, 0.999), c10::Error);
}

/// Files of networks that leave out no patches may lack the mask token.
TEST(VisionTransformer, WeightsWithAndWithoutMaskTokenFit) {
  const auto net = nano(0, 0.3);
  StateDict entries;
  for (const auto& [name, tensor] : state_dict(*net)) {
    if (name != "mask_token") entries.emplace_back(name, tensor.detach().clone() * 2);
  }
  const at::Tensor token = net->named_parameters()["mask_token"].detach().clone();

  load_state_dict(*net, entries);

  EXPECT_TRUE(at::equal(net->named_parameters()["mask_token"], token));
  EXPECT_TRUE(at::equal(state_dict(*net)[0].second, entries[0].second));
  VisionTransformerShape shape = net->shape();
  shape.always_has_mask_token = false;
  VisionTransformer other(shape, {.embedding_dim = kDim, .mask_ratio = 0});
  other.to(at::kDouble);
  EXPECT_FALSE(other.named_parameters().contains("mask_token"));
  load_state_dict(other, state_dict(*net));
  EXPECT_TRUE(at::equal(state_dict(other)[0].second, entries[0].second));
}

TEST(VisionTransformer, InitialWeightsHaveTheDistributionsOfTheReference) {
  const auto net = make_backbone({.name = "vit_nano", .embedding_dim = 512, .seed = 5});
  const double bound = 1 / std::sqrt(3.0 * 9 * 9);
  for (const auto& item : net->named_parameters()) {
    const std::string& name = item.key();
    const at::Tensor& values = item.value();
    const double slack = 6 / std::sqrt(static_cast<double>(values.numel()));
    if (name.starts_with("patch_embed")) {
      EXPECT_LE(values.abs().max().item<double>(), bound * (1 + 1e-6)) << name;
      EXPECT_NEAR(values.std().item<double>(), bound / std::sqrt(3.0), bound * slack) << name;
    } else if (values.dim() >= 2) {
      EXPECT_NEAR(values.std().item<double>(), 0.02, 0.02 * slack) << name;
      EXPECT_NEAR(values.mean().item<double>(), 0, 0.02 * slack) << name;
    } else {
      EXPECT_TRUE(at::equal(
          values, name.ends_with("bias") ? at::zeros_like(values) : at::ones_like(values)))
          << name;
    }
  }
}

TEST(VisionTransformer, DecayLeavesOutNormsBiasesPlacesAndTheMaskToken) {
  const auto net = make_backbone({.name = "vit_nano", .embedding_dim = kDim});
  std::vector<std::string> kept;
  const auto exempt = decay_exempt(*net);
  for (const auto& item : net->named_parameters()) {
    if (std::find(exempt.begin(), exempt.end(), item.key()) == exempt.end())
      kept.push_back(item.key());
  }
  EXPECT_THAT(kept, ::testing::ElementsAre("patch_embed.proj.weight", "blocks.0.attn.qkv.weight",
                                           "blocks.0.attn.proj.weight", "blocks.0.mlp.fc1.weight",
                                           "blocks.0.mlp.fc2.weight", "blocks.1.attn.qkv.weight",
                                           "blocks.1.attn.proj.weight", "blocks.1.mlp.fc1.weight",
                                           "blocks.1.mlp.fc2.weight", "feature.0.weight",
                                           "feature.2.weight"));
}

TEST(VisionTransformer, SixteenBitBlocksAreNearTheFloatOnes) {
  for (const bool recompute : {false, true}) {
    BackboneOptions options{.name = "vit_nano", .embedding_dim = kDim, .recompute = recompute};
    const auto run = [&](at::ScalarType type) {
      const auto net = make_backbone(options);
      tests::fill_network(*net, 3);
      net->train();
      net->set_step_context(kStep);
      at::Tensor embeddings;
      {
        const Autocast autocast(at::kCPU, type);
        embeddings = net->forward(faces_of(4));
      }
      EXPECT_EQ(embeddings.scalar_type(), at::kFloat);
      (embeddings * tests::hashed_tensor(8, 0, {4, kDim})).sum().backward();
      return std::pair(embeddings.detach(),
                       net->named_parameters()["blocks.1.mlp.fc1.weight"].grad());
    };
    const auto wide = run(at::kFloat);
    for (const auto& [type, bound] :
         std::vector<std::pair<at::ScalarType, double>>{{at::kHalf, 2e-2}, {at::kBFloat16, 1e-1}}) {
      const auto narrow = run(type);
      const auto relative = [](const at::Tensor& found, const at::Tensor& wanted) {
        return ((found - wanted).norm() / wanted.norm()).item<double>();
      };
      std::printf("%s: relative difference of embeddings %.2g, of a gradient %.2g\n",
                  c10::toString(type), relative(narrow.first, wide.first),
                  relative(narrow.second, wide.second));
      EXPECT_LT(relative(narrow.first, wide.first), bound);
      EXPECT_LT(relative(narrow.second, wide.second), 5 * bound);
      EXPECT_GT(relative(narrow.first, wide.first), 1e-7);  // it did compute in 16 bit
    }
  }
}

}  // namespace
}  // namespace diffprob::model

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/networks/backbone.h"
#include "model/networks/keyed_dropout.h"
#include "model/weights/weights.h"

namespace diffprob::model {
namespace {

std::map<std::string, at::Tensor> entries_of(const BackboneOptions& options) {
  const StateDict entries = state_dict(*make_backbone(options));
  return {entries.begin(), entries.end()};
}

at::Tensor random_faces(std::int64_t batch) {
  return at::rand({batch, 3, 112, 112}, at::make_generator<at::CPUGeneratorImpl>(7)) * 2 - 1;
}

TEST(Backbone, WeightsAreAFunctionOfSeedAndName) {
  const auto tiny = entries_of({.name = "tiny", .embedding_dim = 32, .seed = 5});
  entries_of({.name = "mobilefacenet", .embedding_dim = 32, .seed = 9});
  const auto again = entries_of({.name = "tiny", .embedding_dim = 32, .seed = 5});
  const auto other_seed = entries_of({.name = "tiny", .embedding_dim = 32, .seed = 6});
  const auto iresnet18 = entries_of({.name = "iresnet18", .seed = 5});
  const auto iresnet34 = entries_of({.name = "iresnet34", .seed = 5});

  for (const auto& [name, tensor] : tiny) {
    EXPECT_TRUE(at::equal(tensor, again.at(name))) << name;
    if (tensor.dim() >= 2) {
      EXPECT_FALSE(at::equal(tensor, other_seed.at(name))) << name;
    }
  }
  // A deeper network has the shallower one's weights under the same names.
  for (const auto& [name, tensor] : iresnet18)
    EXPECT_TRUE(at::equal(tensor, iresnet34.at(name))) << name;
}

TEST(Backbone, InitialWeightsHaveTheDistributionsOfTheReference) {
  const auto iresnet = entries_of({.name = "iresnet18_se"});
  const auto mobile = entries_of({.name = "mobilefacenet"});
  const auto wide = entries_of({.name = "mbf"});

  for (const auto& [name, tensor] : iresnet) {
    if (tensor.dim() != 4 || tensor.numel() < 4096) continue;
    const double slack = 6 / std::sqrt(static_cast<double>(tensor.numel()));
    EXPECT_NEAR(tensor.std().item<double>(), 0.1, 0.1 * slack) << name;
    EXPECT_NEAR(tensor.mean().item<double>(), 0.0, 0.1 * slack) << name;
  }
  const double bound = 1 / std::sqrt(25088.0);
  for (const char* name : {"fc.weight", "fc.bias"}) {
    EXPECT_LE(iresnet.at(name).abs().max().item<double>(), bound * (1 + 1e-6)) << name;
    EXPECT_NEAR(iresnet.at(name).std().item<double>(), bound / std::sqrt(3.0), 0.1 * bound) << name;
  }
  for (const auto& entries : {mobile, wide}) {
    for (const auto& [name, tensor] : entries) {
      if (tensor.dim() < 2 || tensor.numel() < 4096) continue;
      const double area = static_cast<double>(tensor[0].numel() / tensor.size(1));
      const double deviation = std::sqrt(2.0 / (static_cast<double>(tensor.size(0)) * area));
      EXPECT_NEAR(tensor.std().item<double>(), deviation, 0.1 * deviation) << name;
    }
  }
  EXPECT_TRUE(at::equal(iresnet.at("prelu.weight"), at::full({64}, 0.25)));
  EXPECT_TRUE(at::equal(iresnet.at("features.weight"), at::ones({512})));
  EXPECT_TRUE(at::equal(mobile.at("conv1.bn.bias"), at::zeros({64})));
  EXPECT_TRUE(at::equal(wide.at("layers.0.layers.2.weight"), at::full({128}, 0.25)));
  EXPECT_TRUE(at::equal(wide.at("features.layers.3.weight"), at::ones({512})));
}

TEST(Backbone, EveryParameterGetsAGradientAndEmbeddingsHaveTheSizeAskedFor) {
  for (const char* name : {"tiny", "mobilefacenet", "mbf", "mbf_large", "vit_nano"}) {
    SCOPED_TRACE(name);
    const auto net = make_backbone({.name = name, .embedding_dim = 48, .dropout = 0.4});
    net->train();

    const at::Tensor embeddings = net->forward(random_faces(3));
    embeddings.square().sum().backward();

    EXPECT_EQ(embeddings.sizes(), at::IntArrayRef({3, 48}));
    for (const auto& item : net->named_parameters()) {
      EXPECT_EQ(item.value().grad().defined(), item.value().requires_grad()) << item.key();
    }
  }
}

TEST(Backbone, MemoryFormatOfTheInputDoesNotMatter) {
  const auto net = make_backbone({.name = "tiny"});
  net->eval();
  torch::NoGradGuard no_grad;
  const at::Tensor faces = random_faces(2);

  EXPECT_TRUE(at::equal(net->forward(faces),
                        net->forward(faces.contiguous(at::MemoryFormat::ChannelsLast))));
}

TEST(Backbone, WrongNamesAndShapesAreNamed) {
  try {
    (void)make_backbone({.name = "iresnet19"});
    FAIL() << "no error";
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what(), ::testing::AllOf(::testing::HasSubstr("iresnet19"),
                                               ::testing::HasSubstr("mobilefacenet")));
  }
  EXPECT_THROW((void)make_backbone({.name = "_se"}), c10::Error);
  EXPECT_THROW((void)make_backbone({.name = "tiny", .dropout = 1.0}), c10::Error);
  EXPECT_THROW((void)make_backbone({.name = "tiny"})->forward(at::zeros({1, 3, 96, 112})),
               c10::Error);
}

TEST(KeyedDropout, MaskDoesNotDependOnHowTheBatchIsSplit) {
  const at::Tensor features = at::ones({7, 333});
  const StepContext context{.key = 77, .first_row = 40};

  const at::Tensor whole = keyed_dropout(features, 0.4, context);
  const at::Tensor parts =
      at::cat({keyed_dropout(features.slice(0, 0, 3), 0.4, context),
               keyed_dropout(features.slice(0, 3, 7), 0.4, {.key = 77, .first_row = 43})});

  EXPECT_TRUE(at::equal(whole, parts));
  EXPECT_FALSE(at::equal(whole, keyed_dropout(features, 0.4, {.key = 78, .first_row = 40})));
  EXPECT_FALSE(at::equal(whole, keyed_dropout(features, 0.4, {.key = 77, .first_row = 41})));
  // Another width keeps the elements that both have.
  EXPECT_TRUE(
      at::equal(whole.slice(1, 0, 100), keyed_dropout(features.slice(1, 0, 100), 0.4, context)));
}

TEST(KeyedDropout, KeepsTheShareAskedForAndTheMean) {
  constexpr double kP = 0.4;
  const at::Tensor features = at::ones({64, 4096}).requires_grad_(true);

  const at::Tensor dropped = keyed_dropout(features, kP, {.key = 3, .first_row = 0});
  dropped.sum().backward();

  const at::Tensor kept = dropped.detach() > 0;
  const double deviation = std::sqrt(kP * (1 - kP) / static_cast<double>(kept.numel()));
  EXPECT_NEAR(kept.to(at::kDouble).mean().item<double>(), 1 - kP, 5 * deviation);
  EXPECT_TRUE(at::equal(dropped.detach(), kept.to(at::kFloat) * static_cast<float>(1 / (1 - kP))));
  EXPECT_TRUE(at::equal(features.grad(), dropped.detach()));
  // No element is special: each column and each row keeps about its share.
  EXPECT_GT(kept.to(at::kDouble).mean(0).min().item<double>(), 0.2);
  EXPECT_NEAR(kept.to(at::kDouble).mean(1).min().item<double>(), 1 - kP, 0.05);
  // Neighbours share a hash, yet are independent.
  const at::Tensor pairs = kept.view({-1, 2}).all(1).to(at::kDouble);
  EXPECT_NEAR(pairs.mean().item<double>(), (1 - kP) * (1 - kP), 0.01);
}

TEST(KeyedDropout, ActsInTrainingOnly) {
  const auto with = make_backbone({.name = "tiny", .dropout = 0.4});
  const auto without = make_backbone({.name = "tiny", .dropout = 0.0});
  const at::Tensor faces = random_faces(3);
  torch::NoGradGuard no_grad;

  with->eval();
  without->eval();
  EXPECT_TRUE(at::equal(with->forward(faces), without->forward(faces)));
  with->train();
  without->train();
  with->set_step_context({.key = 1, .first_row = 0});
  const at::Tensor first = with->forward(faces), same = with->forward(faces);
  with->set_step_context({.key = 2, .first_row = 0});
  EXPECT_TRUE(at::equal(first, same));
  EXPECT_FALSE(at::equal(first, with->forward(faces)));
  EXPECT_FALSE(at::equal(first, without->forward(faces)));
}

}  // namespace
}  // namespace diffprob::model

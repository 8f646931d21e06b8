// Counts of parameters and operations against the reference's.
#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "model/networks/network_info.h"
#include "tests/support/golden.h"

namespace diffprob {
namespace {

class NetworkCounts : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Files, NetworkCounts,
                         ::testing::Values("backbones.json", "backbones_arcface_torch.json",
                                           "transformers.json"),
                         [](const auto& file) {
                           return std::string(file.param, std::string(file.param).find('.'));
                         });

TEST_P(NetworkCounts, AreThoseOfTheReference) {
  if (!std::filesystem::exists(tests::golden_dir() + "/" + GetParam()))
    GTEST_SKIP() << "the set has no " << GetParam();
  const nlohmann::json networks = tests::golden_json(GetParam());
  const auto names = model::backbone_names();
  int compared = 0;
  for (const auto& [network, wanted] : networks.items()) {
    if (std::find(names.begin(), names.end(), network) == names.end()) {
      tests::print_skipped("network " + network, "unknown to this build");
      continue;
    }
    SCOPED_TRACE(network);
    const model::NetworkInfo info = model::network_info({.name = network});
    EXPECT_EQ(info.parameters, wanted.at("parameters").get<std::int64_t>());
    EXPECT_EQ(info.trainable_parameters, wanted.at("trainable_parameters").get<std::int64_t>());
    EXPECT_EQ(info.macs, wanted.at("macs_conv_linear").get<std::int64_t>());
    if (wanted.contains("reference_flops")) {
      EXPECT_EQ(info.reference_flops,
                static_cast<std::int64_t>(wanted.at("reference_flops").get<double>()));
    }
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST(NetworkInfo, CountsOfATransformerAreThoseOfAFormula) {
  constexpr std::int64_t kTokens = 12 * 12, kWidth = 256, kDepth = 12, kPatch = 3 * 9 * 9;
  constexpr std::int64_t kEmbedding = 512;

  const model::NetworkInfo info = model::network_info({.name = "vit_t"});

  // Queries, keys, values, the map after the attention, and two maps of 4 times the width.
  constexpr std::int64_t kMaps = (3 + 1 + 4 + 4) * kWidth * kWidth;
  constexpr std::int64_t kAttention = 2 * kTokens * kTokens * kWidth;
  EXPECT_EQ(info.macs, kTokens * kPatch * kWidth + kDepth * (kTokens * kMaps + kAttention) +
                           kTokens * kWidth * kWidth + kWidth * kEmbedding);
  // Two layer norms and the biases of three maps; places and mask token; the norms at the end.
  constexpr std::int64_t kBlock = kMaps + 4 * kWidth + (1 + 4 + 1) * kWidth;
  EXPECT_EQ(info.parameters, kPatch * kWidth + kWidth + (kTokens + 1) * kWidth + kDepth * kBlock +
                                 2 * kWidth + kTokens * kWidth * kWidth + 2 * kWidth +
                                 kWidth * kEmbedding + 2 * kEmbedding);
  EXPECT_EQ(info.trainable_parameters, info.parameters);
}

TEST(NetworkInfo, IResNet200IsAsDeepAsItsNameSays) {
  // Two convolutions a block, one in the stem, one linear layer: 2 * (6 + 26 + 60 + 6) + 2 = 198,
  // as the 100 layers of iresnet100 are 100.
  const auto net = model::make_backbone({.name = "iresnet200", .embedding_dim = 8});
  std::int64_t layers = 0;
  for (const auto& item : net->named_parameters()) {
    const bool shortcut = item.key().find("downsample") != std::string::npos;
    if (item.value().dim() >= 2 && !shortcut) ++layers;
  }
  EXPECT_EQ(layers, 198);
}

TEST(NetworkInfo, SmallerEmbeddingsNeedFewerWeights) {
  const model::NetworkInfo large =
      model::network_info({.name = "mobilefacenet", .embedding_dim = 512});
  const model::NetworkInfo small =
      model::network_info({.name = "mobilefacenet", .embedding_dim = 256});
  EXPECT_EQ(large.macs - small.macs, 512 * 256);
  EXPECT_EQ(large.parameters - small.parameters, 512 * 256);
}

}  // namespace
}  // namespace diffprob

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
                         ::testing::Values("backbones.json", "backbones_arcface_torch.json"),
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
    EXPECT_EQ(info.reference_flops,
              static_cast<std::int64_t>(wanted.at("reference_flops").get<double>()));
    ++compared;
  }
  EXPECT_GT(compared, 0);
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

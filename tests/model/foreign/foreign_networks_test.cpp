// Networks in the naming of other projects, against an implementation of these networks that knows
// nothing of ours (ir_network.h).
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/foreign/identify.h"
#include "model/foreign/ir_names.h"
#include "model/foreign/load_weights.h"
#include "model/networks/backbone.h"
#include "tests/model/foreign/ir_network.h"
#include "tests/model/golden_network.h"

namespace diffprob::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using tests::IrOptions;

at::Tensor embed(Backbone& network, const at::Tensor& faces) {
  torch::NoGradGuard no_grad;
  network.eval();
  return network.forward(faces);
}

StateDict with_prefix(const std::string& prefix, const StateDict& entries) {
  StateDict result;
  for (const auto& [name, tensor] : entries) result.emplace_back(prefix + name, tensor);
  return result;
}

std::string error_of(const StateDict& entries, const std::string& backbone) {
  const auto network = make_backbone({.name = backbone});
  try {
    (void)load_network_weights(state_dict(*network), entries, backbone, ChannelOrder::kRgb);
    return "no error";
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
}

struct Case {
  const char* name;
  IrOptions options;
  const char* backbone;
  std::int64_t identity_norms;
};

class IrNetworks : public ::testing::TestWithParam<Case> {};

TEST_P(IrNetworks, EmbedAsTheOriginals) {
  const Case& test = GetParam();
  const auto theirs = tests::random_ir_network(test.options, 3);
  const auto ours = make_backbone({.name = test.backbone});
  const at::Tensor faces = tests::hashed_tensor(5, 0, {2, 3, 112, 112});
  for (const auto order : {ChannelOrder::kRgb, ChannelOrder::kBgr}) {
    const auto read = load_network_weights(
        state_dict(*ours), with_prefix("model.net.", state_dict(*theirs)), test.backbone, order);

    torch::NoGradGuard no_grad;
    const bool bgr = order == ChannelOrder::kBgr;
    const at::Tensor expected = theirs->forward(bgr ? faces.flip(1) : faces);
    const at::Tensor found = embed(*ours, faces);
    const double difference = (found - expected).abs().max().item<double>();
    std::printf("%s, %s: largest difference %.3g (largest value %.3g)\n", test.name,
                bgr ? "BGR" : "RGB", difference, expected.abs().max().item<double>());
    EXPECT_LE(difference, 1e-5 * expected.abs().max().item<double>());
    EXPECT_GT(expected.std().item<double>(), 1e-3);
    EXPECT_EQ(read.identity_norms, test.identity_norms);
    EXPECT_EQ(read.may_be_bgr, test.options.norm_after_first);
    EXPECT_THAT(read.mapped_from, HasSubstr(test.options.norm_after_first ? "AdaFace" : "evoLVe"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, IrNetworks,
    ::testing::Values(
        Case{"AdaFace18", {}, "iresnet18", 1},
        Case{"AdaFaceSe18", {.squeeze_excitation = true}, "iresnet18_se", 1},
        Case{"EvoLVe50",
             {.blocks = {3, 4, 14, 3}, .norm_after_first = false, .last_norm_is_affine = true},
             "iresnet50",
             25},
        Case{"EvoLVeSe18",
             {.norm_after_first = false, .squeeze_excitation = true, .last_norm_is_affine = true},
             "iresnet18_se",
             9}),
    [](const auto& test) { return std::string(test.param.name); });

at::Tensor read_floats(const std::string& path, at::IntArrayRef sizes) {
  at::Tensor values = at::full(sizes, std::nan(""), at::kFloat);
  std::ifstream(path, std::ios::binary)
      .read(static_cast<char*>(values.data_ptr()), static_cast<std::streamsize>(values.nbytes()));
  return values;
}

/// Files that original_classes.py made. DIFFPROB_FOREIGN_EXPORT=FOLDER: writes them there under
/// InsightFace's names, for trying them in arcface_torch.
TEST(ForeignFiles, EmbedAsTheOriginalClasses) {
  const char* const folder = std::getenv("DIFFPROB_FOREIGN_FILES");
  if (folder == nullptr || *folder == '\0')
    GTEST_SKIP() << "DIFFPROB_FOREIGN_FILES names no folder of original_classes.py";
  const at::Tensor faces = read_floats(std::string(folder) + "/faces", {2, 3, 112, 112});
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string path = file.path(), name = file.path().filename();
    const auto end = name.rfind("--"), middle = name.rfind("--", end - 1);
    if (end == std::string::npos || name.ends_with(".embeddings")) continue;
    const std::string backbone = name.substr(middle + 2, end - middle - 2);
    const bool bgr = name.substr(end).starts_with("--bgr");
    const auto network = make_backbone({.name = backbone});
    StateDict entries = read_pth(path);
    std::erase_if(entries, [](const auto& entry) { return entry.first.starts_with("head."); });
    const auto read = load_network_weights(state_dict(*network), entries, backbone,
                                           bgr ? ChannelOrder::kBgr : ChannelOrder::kRgb);
    const at::Tensor expected = read_floats(path + ".embeddings", {2, 512});
    const double difference = (embed(*network, faces) - expected).abs().max().item<double>();
    const double largest = expected.abs().max().item<double>();
    std::printf("%s: %s; largest difference %.3g, relative %.3g\n", name.c_str(),
                read.mapped_from.c_str(), difference, difference / largest);
    EXPECT_LE(difference, 1e-5 * largest) << name;
    if (const char* const out = std::getenv("DIFFPROB_FOREIGN_EXPORT"))
      write_pth(std::string(out) + "/" + name + ".pth", state_dict(*network));
  }
}

TEST(ForeignNetworks, TheErrorNamesTheNetworkOfTheFile) {
  const StateDict ir50 =
      with_prefix("module.", state_dict(*tests::random_ir_network({.blocks = {3, 4, 14, 3}}, 1)));
  EXPECT_THAT(error_of(ir50, "iresnet18"),
              AllOf(HasSubstr("an IR-50 in the naming of AdaFace, CVLface and TFace"),
                    HasSubstr("set model.backbone=iresnet50")));
  EXPECT_THAT(error_of(state_dict(*make_backbone({.name = "iresnet34"})), "iresnet18"),
              AllOf(HasSubstr("an iresnet34"), HasSubstr("layer3.5.conv1.weight"),
                    HasSubstr("set model.backbone=iresnet34")));
  EXPECT_THAT(error_of(state_dict(*make_backbone({.name = "mobilefacenet"})), "iresnet18"),
              HasSubstr("set model.backbone=mobilefacenet"));
  EXPECT_THAT(error_of(state_dict(*make_backbone({.name = "iresnet18_se"})), "iresnet18"),
              HasSubstr("set model.backbone=iresnet18_se"));
  EXPECT_THAT(error_of(state_dict(*make_backbone({.name = "iresnet18", .embedding_dim = 256})),
                       "iresnet18"),
              AllOf(HasSubstr("set model.embedding_dim=256"), Not(HasSubstr("model.backbone="))));
  const std::string message = error_of(ir50, "mobilefacenet");
  EXPECT_LT(std::count(message.begin(), message.end(), '\n'), 5) << message;
  EXPECT_LT(message.size(), 600u);
}

TEST(ForeignNetworks, TheErrorNamesAHeadAndNetworksThatWeLack) {
  EXPECT_THAT(error_of({{"kernel", at::zeros({512, 10})}}, "iresnet18"),
              HasSubstr("a head alone (class centres [512, 10])"));
  EXPECT_THAT(error_of({{"conv_sep.layers.0.weight", at::zeros({512, 128, 1, 1})}}, "iresnet18"),
              HasSubstr("the mbf of arcface_torch"));
  EXPECT_THAT(error_of({{"net.patch_embed.proj.weight", at::zeros({640, 3, 9, 9})},
                        {"net.blocks.0.attn.qkv.weight", at::zeros({1920, 640})}},
                       "iresnet18"),
              HasSubstr("a vision transformer with 1 blocks of width 640"));
  EXPECT_THAT(error_of({{"layer1.0.conv1.weight", at::zeros({64, 64, 3, 3})}}, "iresnet18"),
              HasSubstr("torchvision"));
  EXPECT_THAT(error_of({{"input_layer.0.weight", at::zeros({64, 3, 3, 3})},
                        {"body.0.res_layer.1.weight", at::zeros({64, 64, 1, 1})}},
                       "iresnet18"),
              AllOf(HasSubstr("IR-152 or IR-200"), HasSubstr("bottlenecks")));
}

TEST(ForeignNetworks, AHeadBesideAnIrNetworkIsListedAsUnused) {
  StateDict entries = with_prefix("model.", state_dict(*tests::random_ir_network({}, 1)));
  entries.emplace_back("centres.kernel", at::zeros({512, 3}));
  const auto ours = make_backbone({.name = "iresnet18"});
  const auto read =
      load_network_weights(state_dict(*ours), entries, "iresnet18", ChannelOrder::kRgb);
  EXPECT_EQ(read.unused, std::vector<std::string>{"centres.kernel"});
}

TEST(ForeignNetworks, EntriesThatAnIrNetworkLacksAreErrors) {
  StateDict entries = state_dict(*tests::random_ir_network({}, 1));
  entries.emplace_back("body.0.res_layer.7.weight", at::zeros({3}));
  EXPECT_THAT(error_of(entries, "iresnet18"), HasSubstr("unexpected: body.0.res_layer.7.weight"));
  std::erase_if(entries, [](const auto& entry) { return entry.first.ends_with("layer.7.weight"); });
  std::erase_if(entries, [](const auto& entry) { return entry.first == "output_layer.3.bias"; });
  EXPECT_THAT(error_of(entries, "iresnet18"), HasSubstr("missing: fc.bias"));
}

}  // namespace
}  // namespace diffprob::model

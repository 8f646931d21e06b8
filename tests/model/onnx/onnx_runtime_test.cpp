// ONNX files under onnx.checker and onnxruntime. Skipped when no Python with both is known
// (DIFFPROB_PYTHON; PYTHONPATH may add to it).
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>

#include "model/inference/network.h"
#include "model/onnx/export.h"
#include "tests/model/golden_network.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kFaces = 4;  // one alone, three together
constexpr std::int64_t kDim = 512;

/// Gives each batch norm statistics as training leaves them, those of what it sees, each then moved
/// at random; the last one a common variance. Random ones alone let values grow with the depth, to
/// 4e9 after iresnet200, and with them the gates of iresnet200_se turn into switches: 1e-7 more on
/// its faces moves the embeddings by a third of their size, in float64, so that nothing could be
/// compared.
void settle_batch_norms(Backbone& backbone, const at::Tensor& faces) {
  std::vector<torch::nn::BatchNorm2dImpl*> norms;
  for (const auto& module : backbone.modules()) {
    if (auto* norm = module->as<torch::nn::BatchNorm2d>()) norms.push_back(norm);
  }
  for (auto* norm : norms) norm->options.momentum(1.0);
  backbone.train();
  backbone.forward(faces);
  backbone.eval();
  for (std::size_t i = 0; i < norms.size(); ++i) {
    const at::Tensor moves =
        tests::hashed_tensor(53, i, {2, norms[i]->running_var.numel()});  // in [-1, 1)
    norms[i]->running_mean.add_(norms[i]->running_var.sqrt() * moves[0] * 0.1);
    norms[i]->running_var.mul_(1 + 0.25 * moves[1]);
  }
  const at::Tensor variance = backbone.forward(faces).var();
  for (const auto& named : backbone.named_buffers()) {
    if (named.key() == "features.running_var" || named.key() == "output_layer.bn.running_var" ||
        named.key() == "feature.3.running_var")
      named.value().mul_(variance);
  }
}

class OnnxRuntime : public ::testing::TestWithParam<std::string> {
 protected:
  /// What the script printed; skips the test when Python lacks a package.
  void run_script(const std::vector<std::string>& files, std::string& printed) const {
    const char* python = std::getenv("DIFFPROB_PYTHON");
    if (python == nullptr || *python == '\0')
      GTEST_SKIP() << "DIFFPROB_PYTHON names no Python with onnx and onnxruntime";
    const char* source = std::getenv("DIFFPROB_SOURCE_DIR");
    const std::string output = folder_.file("output.txt");
    std::string command = "'" + std::string(python) + "' '" + (source != nullptr ? source : ".") +
                          "/tests/model/onnx/run_onnx.py'";
    command += " '" + folder_.file("faces") + "'";
    for (const auto& file : files) command += " '" + file + "'";
    const int status = std::system((command + " > '" + output + "' 2>&1").c_str());
    std::ifstream file(output);
    printed.assign((std::istreambuf_iterator<char>(file)), {});
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
      GTEST_SKIP() << python << ": " << printed
                   << "launch/setup.sh --test-packages installs onnx and onnxruntime";
    EXPECT_EQ(status, 0) << command << "\n" << printed;
  }

  [[nodiscard]] static at::Tensor read_embeddings(const std::string& path) {
    at::Tensor result = at::full({kFaces, kDim}, std::nan(""), at::kFloat);
    std::ifstream(path, std::ios::binary)
        .read(static_cast<char*>(result.data_ptr()), static_cast<std::streamsize>(result.nbytes()));
    return result;
  }

  tests::ScratchFolder folder_;
};

TEST_P(OnnxRuntime, EmbedsAsTheProgram) {
  const std::string network = GetParam();
  const bool small = network.starts_with("iresnet18") || network == "mobilefacenet" ||
                     network.starts_with("mbf") || network == "tiny" || network == "vit_nano" ||
                     network == "vit_t";
  if (!small && std::getenv("DIFFPROB_ONNX_ALL") == nullptr)
    GTEST_SKIP() << "a large network: set DIFFPROB_ONNX_ALL=1 to run it";
  const at::NoGradGuard no_grad;
  const auto backbone = make_backbone({.name = network, .embedding_dim = kDim});
  tests::fill_network(*backbone, 53);
  const at::Tensor faces = tests::hashed_tensor(53, 1000000, {kFaces, 3, 112, 112});
  settle_batch_norms(*backbone, faces);
  std::ofstream(folder_.file("faces"), std::ios::binary)
      .write(static_cast<const char*>(faces.const_data_ptr()),
             static_cast<std::streamsize>(faces.nbytes()));
  const std::string kept = folder_.file("kept.onnx"), folded = folder_.file("folded.onnx");
  const std::int64_t bytes = write_onnx(kept, *backbone, {network, OnnxBatchNorm::kKept}).bytes;
  write_onnx(folded, *backbone, {network, OnnxBatchNorm::kFolded});

  std::string printed;
  run_script({kept, folded}, printed);
  if (IsSkipped() || HasFailure()) return;

  const std::string line = "13 input:tensor(float):Nx3x112x112 embedding:tensor(float):Nx512\n";
  EXPECT_EQ(printed, line + line);
  const at::Tensor trained = backbone->forward(faces),
                   evaluated = InferenceNetwork(*backbone)(faces);
  for (const auto& path : {kept, folded}) {
    const at::Tensor found = read_embeddings(path + ".embeddings");
    const double to_trained = (found - trained).abs().max().item<double>(),
                 to_evaluated = (found - evaluated).abs().max().item<double>();
    std::printf(
        "%s, %s, %.1f MB: largest difference to the backbone %.2g, to the inference network %.2g; "
        "largest value %.2g\n",
        network.c_str(), path == kept ? "kept" : "folded", static_cast<double>(bytes) / 1e6,
        to_trained, to_evaluated, trained.abs().max().item<double>());
    const double spread = trained.std().item<double>();  // of a constant network it would be 0
    EXPECT_GT(spread, 0.01);
    EXPECT_LE(to_trained, 1e-4 * spread);
    EXPECT_LE(to_evaluated, 1e-4 * spread);
  }
}

INSTANTIATE_TEST_SUITE_P(Backbones, OnnxRuntime, ::testing::ValuesIn(backbone_names()),
                         [](const auto& item) { return item.param; });

}  // namespace
}  // namespace diffprob::model

// Weight files between this program and PyTorch itself. Skipped when no Python with torch is known
// (DIFFPROB_PYTHON).
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"
#include "model/networks/backbone.h"
#include "model/weights/weights.h"
#include "tests/model/golden_network.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::model {
namespace {

class WithPython : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* python = std::getenv("DIFFPROB_PYTHON");
    if (python == nullptr || *python == '\0')
      GTEST_SKIP() << "DIFFPROB_PYTHON names no Python with torch";
    const char* source = std::getenv("DIFFPROB_SOURCE_DIR");
    program_ = "'" + std::string(python) + "' '" + (source != nullptr ? source : ".") +
               "/tests/model/pytorch_backbones.py'";
  }

  /// Runs the script and returns what it printed.
  std::string run(const std::string& arguments) const {
    const std::string output = folder_.file("output.txt");
    const std::string command = program_ + " " + arguments + " > '" + output + "' 2>&1";
    const int status = std::system(command.c_str());
    std::ifstream file(output);
    std::string text((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(status, 0) << command << "\n" << text;
    return text;
  }

  void write_faces(const at::Tensor& faces) const {
    std::ofstream(folder_.file("faces"), std::ios::binary)
        .write(static_cast<const char*>(faces.const_data_ptr()),
               static_cast<std::streamsize>(faces.nbytes()));
  }

  at::Tensor read_embeddings(std::int64_t rows) const {
    at::Tensor result = at::full({rows, 512}, std::nan(""), at::kFloat);
    std::ifstream(folder_.file("embeddings"), std::ios::binary)
        .read(static_cast<char*>(result.data_ptr()), static_cast<std::streamsize>(result.nbytes()));
    return result;
  }

  void expect_same_embeddings(const std::string& network, const char* direction, Backbone& net,
                              const at::Tensor& faces) const {
    torch::NoGradGuard no_grad;
    net.eval();
    const at::Tensor found = net.forward(faces);
    const double difference = (found - read_embeddings(faces.size(0))).abs().max().item<double>();
    std::printf("%s, %s: largest difference %.3g (largest value %.3g)\n", network.c_str(),
                direction, difference, found.abs().max().item<double>());
    EXPECT_LE(difference, 1e-4);
    EXPECT_GT(found.std().item<double>(), 1e-3);
  }

  tests::ScratchFolder folder_;
  std::string program_;
};

/// As print_entries of the script; sums are compared as numbers.
void expect_entries(const StateDict& found, const std::string& printed) {
  static const std::map<at::ScalarType, std::string> kNames = {
      {at::kFloat, "float32"},     {at::kDouble, "float64"}, {at::kHalf, "float16"},
      {at::kBFloat16, "bfloat16"}, {at::kLong, "int64"},     {at::kInt, "int32"},
      {at::kByte, "uint8"},        {at::kBool, "bool"}};
  std::istringstream lines(printed);
  for (const auto& [name, tensor] : found) {
    std::string wanted_name, wanted_type, wanted_shape;
    double wanted_sum = 0;
    ASSERT_TRUE(lines >> wanted_name >> wanted_type >> wanted_shape >> wanted_sum) << printed;
    std::string shape;
    for (const std::int64_t size : tensor.sizes())
      shape += (shape.empty() ? "" : "x") + std::to_string(size);
    EXPECT_EQ(name, wanted_name);
    EXPECT_EQ(kNames.at(tensor.scalar_type()), wanted_type) << name;
    EXPECT_EQ(shape.empty() ? "scalar" : shape, wanted_shape) << name;
    EXPECT_NEAR(tensor.to(at::kDouble).sum().item<double>(), wanted_sum,
                1e-9 * (1 + std::abs(wanted_sum)))
        << name;
  }
  std::string rest;
  EXPECT_FALSE(lines >> rest) << "also printed: " << rest;
}

TEST_F(WithPython, TorchLoadReadsWhatWeWrite) {
  const StateDict entries = {{"weight", at::rand({3, 5})},
                             {"turned", at::rand({4, 6}, at::kDouble).t()},
                             {"half", at::rand({3}).to(at::kHalf)},
                             {"brain", at::rand({3}).to(at::kBFloat16)},
                             {"count", at::full({}, 5000000000, at::kLong)},
                             {"int32", at::arange(-3, 400, at::kInt)},
                             {"uint8", at::arange(0, 256, at::kInt).to(at::kByte)},
                             {"flag", at::rand({300}) > 0.5},
                             {"empty", at::zeros({0, 2})}};
  write_pth(folder_.file("ours.pth"), entries);

  expect_entries(entries, run("inspect '" + folder_.file("ours.pth") + "'"));
}

TEST_F(WithPython, WeReadWhatTorchSaveWrites) {
  const std::string path = folder_.file("theirs.pth");
  const std::string printed = run("write '" + path + "'");

  const StateDict found = read_pth(path);

  expect_entries(found, printed);
  for (const auto* wrapped : {".nested", ".trainer", ".deeper"})
    expect_entries(read_pth(path + wrapped), printed);
  try {
    static_cast<void>(read_pth(path + ".tensor"));
    ADD_FAILURE() << "a tensor was taken as a state dict";
  } catch (const data::DataError& error) {
    EXPECT_NE(std::string(error.what()).find("found a single tensor"), std::string::npos);
  }
  const std::map<std::string, at::Tensor> by_name(found.begin(), found.end());
  EXPECT_TRUE(by_name.at("module.plain").is_alias_of(by_name.at("module.part_of_plain")));
  EXPECT_TRUE(at::equal(by_name.at("module.transposed"),
                        (at::arange(30, at::kDouble) / 3).view({5, 6}).t()));
  EXPECT_TRUE(at::equal(by_name.at("module.part_of_plain"),
                        (at::arange(24, at::kFloat) / 7).slice(0, 6, 18).view({3, 4})));
  const StateDict old = read_pth(path + ".old");
  expect_entries(old, printed);
  EXPECT_TRUE(old.at(0).second.is_alias_of(old.at(1).second));
}

TEST_F(WithPython, SafetensorsGoBothWays) {
  const std::string theirs = folder_.file("theirs.safetensors");
  const std::string printed = run("write-safetensors '" + theirs + "'");
  if (printed.starts_with("absent"))
    GTEST_SKIP() << "the Python of DIFFPROB_PYTHON lacks the package safetensors";
  StateDict found = read_pth(theirs);
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  expect_entries(found, printed);

  const std::string ours = folder_.file("ours.safetensors");
  write_safetensors(ours, found);
  expect_entries(found, run("inspect-safetensors '" + ours + "'"));
}

TEST_F(WithPython, WeReadTheWeightsOfCheckpointsFullOfOtherThings) {
  const std::string path = folder_.file("theirs.pth");
  const std::string printed = run("write-trainers '" + path + "'");

  for (const auto* const kind : {".lightning", ".protocol5", ".lightning_old"}) {
    expect_entries(read_pth(path + kind), printed);
    const StateDict all = read_weight_entries(path + kind);
    EXPECT_GT(all.size(), 3u) << kind;
    const StateDict some = read_weight_entries(
        path + kind, [](const std::string& name) { return name.starts_with("state_dict."); });
    ASSERT_EQ(some.size(), 3u) << kind;
    EXPECT_EQ(some.at(1).first, "state_dict.net.bias");
  }
  const StateDict single = read_weight_entries(path + ".tensor");
  ASSERT_EQ(single.size(), 1u);
  EXPECT_EQ(single[0].first, "");
  const auto error_of = [&](const std::string& file) -> std::string {
    try {
      (void)read_pth(file);
      return "no error";
    } catch (const data::DataError& error) {
      return error.what();
    }
  };
  EXPECT_THAT(error_of(path + ".module"), ::testing::HasSubstr("a whole pickled module (torch.nn"));
  EXPECT_THAT(error_of(path + ".module_old"), ::testing::HasSubstr("a whole pickled module"));
  EXPECT_THAT(error_of(path + ".script"), ::testing::HasSubstr("a TorchScript archive"));
  EXPECT_THAT(error_of(path + ".sparse"), ::testing::HasSubstr("unsupported kind"));
}

class Networks : public WithPython, public ::testing::WithParamInterface<const char*> {};

TEST_P(Networks, EmbedAlikeInBothDirections) {
  const std::string network = GetParam();
  const at::Tensor faces = tests::hashed_tensor(5, 0, {2, 3, 112, 112});
  const std::string files = network + " '" + folder_.file("net.pth") + "' '" +
                            folder_.file("faces") + "' '" + folder_.file("embeddings") + "'";
  write_faces(faces);

  const auto ours = make_backbone({.name = network});
  tests::fill_network(*ours, 21);
  write_pth(folder_.file("net.pth"), state_dict(*ours));
  run("embed " + files);
  expect_same_embeddings(network, "written here, read by PyTorch", *ours, faces);

  run("export " + files);
  const auto theirs = make_backbone({.name = network});
  load_state_dict(*theirs, read_pth(folder_.file("net.pth")));
  expect_same_embeddings(network, "written by PyTorch, read here", *theirs, faces);
}

INSTANTIATE_TEST_SUITE_P(Backbones, Networks,
                         ::testing::Values("iresnet18", "iresnet18_se", "mobilefacenet", "mbf",
                                           "mbf_large", "vit_nano", "vit_t"),
                         [](const auto& network) { return std::string(network.param); });

}  // namespace
}  // namespace diffprob::model

// ONNX files, read back by a parser of our own and run by slow operators of our own.
#include "model/onnx/export.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/error.h"
#include "model/onnx/writer.h"
#include "model/weights/weights.h"
#include "tests/model/golden_network.h"
#include "tests/model/onnx/onnx_file.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::model {
namespace {

using ::testing::HasSubstr;
using tests::OnnxContent;

TEST(ProtobufMessage, IsWhatTheEncodingSays) {
  using namespace std::string_literals;
  ProtobufMessage message;
  message.varint(1, 150);  // with the next, the examples of the format's page
  message.bytes(2, "testing");
  message.varint(3, 0);
  message.varint(15, 127);
  message.varint(16, 128);
  message.varint(1, static_cast<std::uint64_t>(-1));
  message.float32(4, 1.0f);
  message.float64(5, -2.0);
  message.announce(6, 300);

  EXPECT_EQ(message.encoded(),
            "\x08\x96\x01"
            "\x12\x07testing"
            "\x18\x00"
            "\x78\x7f"
            "\x80\x01\x80\x01"
            "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
            "\x25\x00\x00\x80\x3f"
            "\x29\x00\x00\x00\x00\x00\x00\x00\xc0"
            "\x32\xac\x02"s);
}

/// input * weights
OnnxModel product_of(std::vector<std::int64_t> sizes, std::function<at::Tensor()> values) {
  OnnxModel model("product", "for a test");
  model.add_input("input", {kOnnxDynamic, 2}, "");
  model.add_node("Mul",
                 {"input", model.add_weights("weights", std::move(sizes), std::move(values))},
                 "output");
  model.add_output("output", {kOnnxDynamic, 2}, "");
  return model;
}

std::string failure_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

bool exists(const std::string& path) {
  return std::ifstream(path).good();
}

TEST(OnnxModel, SizeIsThatOfTheFile) {
  const tests::ScratchFolder folder;
  for (const std::int64_t rows :
       {1, 11, 12, 13, 1500, 1600}) {  // around the lengths that take one more byte
    const at::Tensor values = at::rand({rows, 2}, at::kDouble);
    const OnnxModel model = product_of({rows, 2}, [&] { return values; });

    model.write(folder.file("model.onnx"));

    const OnnxContent found = tests::read_onnx(folder.file("model.onnx"));
    EXPECT_EQ(found.bytes, model.size());
    EXPECT_TRUE(at::equal(found.weights.at("weights"), values.to(at::kFloat)));
  }
}

TEST(OnnxModel, BeyondTwoGigabytesIsRefusedBeforeAnythingIsMade) {
  const tests::ScratchFolder folder;
  constexpr std::int64_t kMost = (std::int64_t{1} << 31) - 1;
  int made = 0;
  const auto values = [&made] { return ++made, at::Tensor(); };
  // The largest number of rows that fits, by the model's own count.
  const auto fixed =
      static_cast<std::int64_t>(product_of({kMost / 8, 2}, values).size()) - kMost / 8 * 8;
  const std::int64_t rows = (kMost - fixed) / 8;
  ASSERT_LE(product_of({rows, 2}, values).size(), static_cast<std::uint64_t>(kMost));

  const std::string failure = failure_of([&] {
    product_of({rows + 1, 2}, values).write(folder.file("large.onnx"));
  });

  EXPECT_THAT(failure, HasSubstr(folder.file("large.onnx")));
  EXPECT_THAT(failure, HasSubstr("2147483647 bytes (protobuf's limit)"));
  EXPECT_THAT(failure, HasSubstr(".pth"));
  EXPECT_EQ(made, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(OnnxModel, FailureLeavesTheFileThatWasThere) {
  const tests::ScratchFolder folder;
  const std::string path = folder.file("model.onnx");
  std::ofstream(path) << "old";

  const std::string failed = failure_of([&] {
    product_of({1, 2}, []() -> at::Tensor { throw std::runtime_error("lost"); }).write(path);
  });
  const std::string shaped = failure_of([&] {
    product_of({1, 2}, [] { return at::zeros({2, 1}); }).write(path);
  });

  EXPECT_EQ(failed, "lost");
  EXPECT_THAT(shaped, HasSubstr("weights: expected [1, 2], found [2, 1]"));
  std::string content;
  std::ifstream(path) >> content;
  EXPECT_EQ(content, "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(OnnxModel, GraphsThatCannotBeAreRefused) {
  OnnxModel model("any", "");
  model.add_input("input", {kOnnxDynamic, 2}, "");
  EXPECT_THAT(failure_of([&] {
                model.add_node("Add", {"input", "nothing"}, "sum");
              }),
              HasSubstr("node sum takes nothing"));
  EXPECT_THAT(failure_of([&] { model.add_node("Relu", {"input"}, "input"); }),
              HasSubstr("two values are named input"));
  EXPECT_THAT(failure_of([&] { model.add_output("sum", {2}, ""); }),
              HasSubstr("no node produces the output sum"));
}

struct Case {
  std::string network;
  OnnxBatchNorm batch_norm;
};

std::string name_of(const Case& item) {
  return item.network + (item.batch_norm == OnnxBatchNorm::kFolded ? "_folded" : "_kept");
}

/// A network and its file, made once for all tests of a case.
struct Exported {
  explicit Exported(const Case& item)
      : backbone(make_backbone({.name = item.network, .embedding_dim = kDim})) {
    tests::fill_network(*backbone, 31);
    backbone->eval();
    written = write_onnx(path, *backbone, {item.network, item.batch_norm});
    content = tests::read_onnx(path);
  }
  static constexpr std::int64_t kDim = 40;
  tests::ScratchFolder folder;
  std::string path = folder.file("net.onnx");
  std::shared_ptr<Backbone> backbone;
  OnnxFile written;
  OnnxContent content;
};

class OnnxExport : public ::testing::TestWithParam<Case> {
 protected:
  static void TearDownTestSuite() { cases().clear(); }
  static std::map<std::string, Exported>& cases() {
    static std::map<std::string, Exported> made;
    return made;
  }
  static const Exported& exported() {
    return cases().try_emplace(name_of(GetParam()), GetParam()).first->second;
  }

  [[nodiscard]] std::int64_t count(const std::string& op) const {
    return std::count_if(found_.nodes.begin(), found_.nodes.end(),
                         [&](const auto& node) { return node.op == op; });
  }
  /// Entries of the state dict.
  [[nodiscard]] std::int64_t count_entries(
      const std::function<bool(const std::string&)>& wanted) const {
    const StateDict entries = state_dict(backbone_);
    return std::count_if(entries.begin(), entries.end(),
                         [&](const auto& entry) { return wanted(entry.first); });
  }

  const OnnxContent& found_ = exported().content;
  const OnnxFile& written_ = exported().written;
  Backbone& backbone_ = *exported().backbone;
};

TEST_P(OnnxExport, SaysWhatItIs) {
  const bool folded = GetParam().batch_norm == OnnxBatchNorm::kFolded;
  EXPECT_EQ(found_.ir_version, 7u);
  EXPECT_EQ(found_.opset, 13u);
  EXPECT_EQ(found_.producer, "diffprob");
  EXPECT_EQ(found_.name, GetParam().network);
  EXPECT_THAT(found_.description, HasSubstr("R, G, B, each value (x / 255 - 0.5) / 0.5"));
  EXPECT_EQ(found_.metadata.at("network"), GetParam().network);
  EXPECT_EQ(found_.metadata.at("embedding_dim"), std::to_string(Exported::kDim));
  EXPECT_EQ(found_.metadata.at("batch_norm"), folded ? "folded" : "kept");
  EXPECT_EQ(static_cast<std::uint64_t>(written_.bytes), found_.bytes);
  ASSERT_EQ(found_.inputs.size(), 1u);
  EXPECT_EQ(found_.inputs[0].name, "input");
  EXPECT_EQ(found_.inputs[0].type, 1u);
  EXPECT_EQ(found_.inputs[0].sizes, (std::vector<std::string>{"N", "3", "112", "112"}));
  ASSERT_EQ(found_.outputs.size(), 1u);
  EXPECT_EQ(found_.outputs[0].name, "embedding");
  EXPECT_EQ(found_.outputs[0].type, 1u);
  EXPECT_EQ(found_.outputs[0].sizes,
            (std::vector<std::string>{"N", std::to_string(Exported::kDim)}));
}

TEST_P(OnnxExport, IsAGraphInOrderThatUsesAllItHas) {
  std::set<std::string> known = {"input"}, used, nodes;
  for (const auto& [name, tensor] : found_.weights) known.insert(name);
  for (const auto& node : found_.nodes) {
    EXPECT_TRUE(nodes.insert(node.name).second) << node.name;
    for (const auto& input : node.inputs) {
      EXPECT_TRUE(known.contains(input)) << node.name << " takes " << input;
      used.insert(input);
    }
    for (const auto& output : node.outputs) EXPECT_TRUE(known.insert(output).second) << output;
  }
  used.insert("embedding");
  EXPECT_EQ(used, known);
}

TEST_P(OnnxExport, BatchNormsAreKeptOrFoldedWhereThatIsExact) {
  const std::int64_t norms =
      count_entries([](const auto& name) { return name.ends_with("running_mean"); });
  const std::int64_t before_padding = count_entries(
      [](const auto& name) { return name.starts_with("layer") && name.ends_with(".bn1.weight"); });
  EXPECT_EQ(count("BatchNormalization"),
            GetParam().batch_norm == OnnxBatchNorm::kFolded ? before_padding : norms);
  EXPECT_EQ(count("BatchNormalization"), written_.batch_norms);
  // Four linear maps in each of two blocks, and two for the features.
  EXPECT_EQ(count("Gemm"), GetParam().network == "vit_nano" ? 2 * 4 + 2 : 1);
}

TEST_P(OnnxExport, KeptWeightsAreThoseOfTheStateDict) {
  if (GetParam().batch_norm == OnnxBatchNorm::kFolded) return;
  std::size_t shared = 0;
  for (const auto& [name, tensor] : state_dict(backbone_)) {
    if (name.ends_with("num_batches_tracked") || name == "mask_token") continue;
    ASSERT_TRUE(found_.weights.contains(name)) << name;
    EXPECT_TRUE(at::equal(found_.weights.at(name).view_as(tensor), tensor)) << name;
    ++shared;
  }
  // 1 and 0 for the batch norm of MobileFaceNet that learns none; the transformer's numbers and
  // sizes.
  EXPECT_LE(found_.weights.size() - shared, GetParam().network == "vit_nano" ? 13u : 2u);
}

TEST_P(OnnxExport, EmbedsAsTheBackbone) {
  const at::NoGradGuard no_grad;
  const bool small = GetParam().network == "tiny" || GetParam().network == "vit_nano";
  const std::int64_t batch = small ? 3 : 1;  // float64 takes its time
  const at::Tensor faces = tests::hashed_tensor(7, 0, {batch, 3, 112, 112});
  const at::Tensor wanted = backbone_.forward(faces);

  const at::Tensor found = tests::run_onnx(found_, faces);

  const double largest = wanted.abs().max().item<double>();
  const double difference = (found - wanted).abs().max().item<double>();
  std::printf("%s: largest difference %.2g, largest value %.2g\n", name_of(GetParam()).c_str(),
              difference, largest);
  EXPECT_GT(largest, 0.1);
  EXPECT_LE(difference, 2e-5 * largest);
}

TEST_P(OnnxExport, TheSameWeightsGiveTheSameBytes) {
  const tests::ScratchFolder folder;
  write_onnx(folder.file("again.onnx"), backbone_, {GetParam().network, GetParam().batch_norm});
  const auto bytes = [](const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(file)), {});
  };
  EXPECT_TRUE(bytes(exported().path) == bytes(folder.file("again.onnx")));
}

INSTANTIATE_TEST_SUITE_P(Networks, OnnxExport,
                         ::testing::Values(Case{"tiny", OnnxBatchNorm::kKept},
                                           Case{"tiny", OnnxBatchNorm::kFolded},
                                           Case{"iresnet18_se", OnnxBatchNorm::kKept},
                                           Case{"iresnet18_se", OnnxBatchNorm::kFolded},
                                           Case{"mobilefacenet", OnnxBatchNorm::kKept},
                                           Case{"mobilefacenet", OnnxBatchNorm::kFolded},
                                           Case{"mbf", OnnxBatchNorm::kKept},
                                           Case{"mbf", OnnxBatchNorm::kFolded},
                                           Case{"vit_nano", OnnxBatchNorm::kKept},
                                           Case{"vit_nano", OnnxBatchNorm::kFolded}),
                         [](const auto& item) { return name_of(item.param); });

TEST(OnnxExportErrors, UnknownNetworksAndFolders) {
  class Other : public Backbone {
   public:
    Other() { register_parameter("weight", at::ones({3})); }
    torch::Tensor forward(torch::Tensor faces) override { return faces; }
    std::int64_t embedding_dim() const override { return 3; }
  };
  const tests::ScratchFolder folder;
  const Other other;
  EXPECT_THAT(failure_of([&] { write_onnx(folder.file("other.onnx"), other, {"other"}); }),
              HasSubstr("other is neither an IResNet"));
  EXPECT_FALSE(exists(folder.file("other.onnx")));
  const auto tiny = make_backbone({.name = "tiny"});
  EXPECT_THROW(write_onnx(folder.file("none/tiny.onnx"), *tiny, {"tiny"}), data::DataError);
}

}  // namespace
}  // namespace diffprob::model

#include "launch/cli/export.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>

#include "launch/checkpoint/network.h"
#include "launch/cli/export_head.h"
#include "launch/config/without_effect.h"
#include "launch/job/read_config.h"
#include "model/onnx/export.h"
#include "model/onnx/writer.h"
#include "model/weights/weights.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFoldFlag = "fold-bn";
constexpr const char* kSafetensors = ".safetensors";

/// Takes --NAME=X out of the line: it is no key of the configuration.
std::string take(CommandLine& line, const std::string& name) {
  const auto item = std::find_if(line.overrides.begin(), line.overrides.end(),
                                 [&](const auto& each) { return each.key == name; });
  if (item == line.overrides.end()) return {};
  const std::string value = item->value;
  line.overrides.erase(item);
  return value;
}

void check_request(const std::string& path, const std::string& source, bool folds) {
  std::vector<std::string> problems;
  if (!path.ends_with(".onnx") && !path.ends_with(".pth") && !path.ends_with(kSafetensors))
    problems.push_back("--file=" + path +
                       ": expected a name that ends with .onnx, .pth or .safetensors");
  if (folds && !path.ends_with(".onnx"))
    problems.push_back(
        "--fold-bn: only for .onnx; other files hold the weights of every layer by name");
  std::error_code none;
  if (source.empty())
    problems.push_back("model.checkpoint: this command needs a checkpoint folder or a weight file");
  else if (fs::equivalent(path, source, none))
    problems.push_back("--file=" + path + ": is the input itself, expected another file");
  if (!problems.empty()) throw ConfigError(problems);
}

void write_weights(const std::string& path, const model::StateDict& entries) {
  const bool safetensors = path.ends_with(kSafetensors);
  const auto file =
      safetensors ? model::write_safetensors(path, entries) : model::write_pth(path, entries);
  fmt::print("wrote {}: {} bytes, state dict for {}\n", path, file.bytes,
             safetensors ? "safetensors' load_file" : "torch.load");
}

void export_network(const std::string& path, const Config& config, bool folds) {
  check_request(path, config.model.checkpoint, folds);
  const LoadedNetwork loaded =
      load_network(config.model.checkpoint, shape_of_weight_file(config.model), at::kCPU);
  const std::string& name = loaded.shape.backbone;
  fmt::print("{} with {}-d embeddings {}\n", name, loaded.backbone->embedding_dim(), loaded.origin);
  if (!loaded.remark.empty()) fmt::print("{}\n", loaded.remark);
  if (!path.ends_with(".onnx")) {
    write_weights(path, model::state_dict(*loaded.backbone));
    return;
  }
  const auto batch_norm = folds ? model::OnnxBatchNorm::kFolded : model::OnnxBatchNorm::kKept;
  const auto file = model::write_onnx(path, *loaded.backbone, {name, batch_norm});
  fmt::print("wrote {}: {} bytes, opset {}, {} batch norms{}\n", path, file.bytes,
             model::kOnnxOpset, file.batch_norms,
             folds ? " kept, because they precede padded convolutions" : "");
}

}  // namespace

int export_command(const CommandLine& given) {
  CommandLine line = given;
  const std::string path = take(line, "file");
  const HeadExport head{take(line, "head"), take(line, "head-form"), take(line, "shards")};
  if (path.empty() && head.path.empty()) throw ConfigError({"usage:\n" + help_text("export")});
  const Config config = read_config(line);
  for (const std::string& key : without_effect("export", config))
    fmt::print(stderr, "warning: {}\n", key);
  const bool folds = std::find(line.flags.begin(), line.flags.end(), kFoldFlag) != line.flags.end();
  if (!path.empty()) export_network(path, config, folds);
  if (!head.path.empty()) export_head(head, config);
  return 0;
}

}  // namespace diffprob::launch

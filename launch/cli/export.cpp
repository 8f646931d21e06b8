#include "launch/cli/export.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>

#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/evaluation_weights.h"
#include "launch/job/read_config.h"
#include "model/networks/backbone.h"
#include "model/onnx/export.h"
#include "model/onnx/writer.h"
#include "model/weights/weights.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr const char* kFoldFlag = "fold-bn";

/// Takes --file=X out of the line: it is no key of the configuration.
std::string take_file(CommandLine& line) {
  const auto file = std::find_if(line.overrides.begin(), line.overrides.end(),
                                 [](const auto& item) { return item.key == "file"; });
  if (file == line.overrides.end()) throw ConfigError({"usage:\n" + help_text("export")});
  const std::string path = file->value;
  line.overrides.erase(file);
  return path;
}

void check_request(const std::string& path, const std::string& source, bool folds) {
  std::vector<std::string> problems;
  if (!path.ends_with(".pth") && !path.ends_with(".onnx"))
    problems.push_back("--file=" + path + ": expected a name that ends with .pth or .onnx");
  if (folds && path.ends_with(".pth"))
    problems.push_back("--fold-bn: for .onnx; a .pth holds the weights of every layer by name");
  std::error_code none;
  if (source.empty())
    problems.push_back(
        "model.checkpoint: this command needs a checkpoint folder or a backbone .pth");
  else if (fs::equivalent(path, source, none))
    problems.push_back("--file=" + path + ": is the input itself, expected another file");
  if (!problems.empty()) throw ConfigError(problems);
}

struct LoadedBackbone {
  std::string name;
  std::string origin;  ///< for the message
  std::shared_ptr<model::Backbone> network;
};

LoadedBackbone load(const Config& config) {
  const std::string& source = config.model.checkpoint;
  LoadedBackbone loaded;
  if (fs::is_directory(source)) {
    const CheckpointInfo info = read_checkpoint_info(source);
    loaded = {info.backbone, fmt::format("after {} steps", info.step),
              model::make_backbone({info.backbone, info.embedding_dim, 0.0, 1})};
    load_for_evaluation(source, *loaded.network);
  } else {
    const std::string& name = config.model.backbone;
    loaded = {name, "from " + source,
              model::make_backbone({name, config.model.embedding_dim, 0.0, 1})};
    load_backbone_weights(source, model::state_dict(*loaded.network));
  }
  return loaded;
}

}  // namespace

int export_command(CommandLine line) {
  const std::string path = take_file(line);
  const Config config = read_config(line);
  const bool folds = std::find(line.flags.begin(), line.flags.end(), kFoldFlag) != line.flags.end();
  check_request(path, config.model.checkpoint, folds);
  const LoadedBackbone loaded = load(config);
  fmt::print("{} with {}-d embeddings {}\n", loaded.name, loaded.network->embedding_dim(),
             loaded.origin);
  if (path.ends_with(".pth")) {
    const auto file = model::write_pth(path, model::state_dict(*loaded.network));
    fmt::print("wrote {}: {} bytes, state dict for torch.load\n", path, file.bytes);
    return 0;
  }
  const auto batch_norm = folds ? model::OnnxBatchNorm::kFolded : model::OnnxBatchNorm::kKept;
  const auto file = model::write_onnx(path, *loaded.network, {loaded.name, batch_norm});
  fmt::print("wrote {}: {} bytes, opset {}, {} batch norms{}\n", path, file.bytes,
             model::kOnnxOpset, file.batch_norms,
             folds ? " left, which stand before padded convolutions" : "");
  return 0;
}

}  // namespace diffprob::launch

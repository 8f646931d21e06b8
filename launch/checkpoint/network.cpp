#include "launch/checkpoint/network.h"

#include <spdlog/fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <filesystem>

#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/manifest.h"
#include "model/foreign/load_weights.h"

namespace diffprob::launch {
namespace {

std::shared_ptr<model::Backbone> make(const NetworkShape& shape) {
  return model::make_backbone({shape.backbone, shape.embedding_dim, 0.0, 1});
}

LoadedNetwork load_folder(const std::string& checkpoint) {
  const CheckpointInfo info = read_checkpoint_info(checkpoint);
  LoadedNetwork loaded{
      {info.backbone, info.embedding_dim}, fmt::format("after {} steps", info.step), "", nullptr};
  loaded.backbone = make(loaded.shape);
  CheckpointState state;
  if (checkpoint_has(checkpoint, "ema"))
    state.replicated.push_back({"ema", model::state_dict(*loaded.backbone)});
  else
    state.backbone = model::state_dict(*loaded.backbone);
  load_checkpoint(checkpoint, state);
  return loaded;
}

LoadedNetwork load_file(const std::string& path, const NetworkShape& shape) {
  LoadedNetwork loaded{shape, "from " + path, "", make(shape)};
  loaded.remark = load_backbone_weights(path, model::state_dict(*loaded.backbone), shape);
  return loaded;
}

std::string remark_on(const std::string& path, const model::NetworkWeights& read,
                      const NetworkShape& shape) {
  const bool bgr = shape.channel_order == model::ChannelOrder::kBgr;
  std::vector<std::string> parts;
  if (!read.mapped_from.empty())
    parts.push_back(fmt::format("is {} and is read as {}", read.mapped_from, shape.backbone));
  if (bgr)
    parts.push_back(
        "the input channels of its first convolution are reversed "
        "(model.channel_order=bgr)");
  if (read.may_be_bgr && !bgr)
    parts.push_back(
        "the published models of AdaFace take BGR images, give "
        "--model.channel_order=bgr for these");
  if (read.identity_norms > 0)
    parts.push_back(
        fmt::format("{} batch norms that it lacks change nothing, until a training "
                    "gives them the statistics of its batches",
                    read.identity_norms));
  return parts.empty() ? "" : fmt::format("{} {}", path, fmt::join(parts, "; "));
}

}  // namespace

NetworkShape shape_of_weight_file(const ModelConfig& config) {
  return {config.network.name, config.network.embedding_dim, config.channel_order};
}

std::string load_backbone_weights(const std::string& path, const model::StateDict& backbone,
                                  const NetworkShape& shape) {
  const bool is_folder = std::filesystem::is_directory(path);
  const std::string file =
      is_folder ? path + "/" + part_file(checkpoint_has(path, "ema") ? "ema" : kBackbonePart)
                : path;
  model::StateDict entries = model::read_pth(file);
  std::erase_if(entries, [](const auto& item) { return item.first.starts_with("head."); });
  try {
    const auto order = is_folder ? model::ChannelOrder::kRgb : shape.channel_order;
    const auto read = model::load_network_weights(backbone, entries, shape.backbone, order);
    if (!read.unused.empty())
      spdlog::warn("{}: {} entries do not belong to the network and were not used, the first is {}",
                   file, read.unused.size(), read.unused.front());
    return is_folder ? "" : remark_on(file, read, shape);
  } catch (const c10::Error& error) {
    TORCH_CHECK(false, file, ": ", error.what_without_backtrace());
  }
}

LoadedNetwork load_network(const std::string& path, const NetworkShape& shape_of_file,
                           at::Device device) {
  LoadedNetwork loaded =
      std::filesystem::is_directory(path) ? load_folder(path) : load_file(path, shape_of_file);
  loaded.backbone->to(device);
  loaded.backbone->eval();
  return loaded;
}

}  // namespace diffprob::launch

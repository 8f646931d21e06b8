#include "launch/checkpoint/network.h"

#include <spdlog/fmt/fmt.h>

#include <filesystem>

#include "launch/checkpoint/checkpoint.h"

namespace diffprob::launch {
namespace {

std::shared_ptr<model::Backbone> make(const NetworkShape& shape) {
  return model::make_backbone({shape.backbone, shape.embedding_dim, 0.0, 1});
}

LoadedNetwork load_folder(const std::string& checkpoint) {
  const CheckpointInfo info = read_checkpoint_info(checkpoint);
  LoadedNetwork loaded{
      {info.backbone, info.embedding_dim}, fmt::format("after {} steps", info.step), nullptr};
  loaded.backbone = make(loaded.shape);
  CheckpointState state;
  if (checkpoint_has(checkpoint, "ema"))
    state.replicated.push_back({"ema", model::state_dict(*loaded.backbone)});
  else
    state.backbone = model::state_dict(*loaded.backbone);
  load_checkpoint(checkpoint, state);
  return loaded;
}

LoadedNetwork load_pth(const std::string& path, const NetworkShape& shape) {
  LoadedNetwork loaded{shape, "from " + path, make(shape)};
  load_backbone_weights(path, model::state_dict(*loaded.backbone));
  return loaded;
}

}  // namespace

LoadedNetwork load_network(const std::string& path, const NetworkShape& shape_of_pth,
                           at::Device device) {
  LoadedNetwork loaded =
      std::filesystem::is_directory(path) ? load_folder(path) : load_pth(path, shape_of_pth);
  loaded.backbone->to(device);
  loaded.backbone->eval();
  return loaded;
}

}  // namespace diffprob::launch

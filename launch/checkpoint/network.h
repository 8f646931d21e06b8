#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "model/networks/backbone.h"

namespace diffprob::launch {

/// Architecture of the network whose weights a .pth holds; the file does not say it itself.
struct NetworkShape {
  std::string backbone;  ///< one of model::backbone_names()
  std::int64_t embedding_dim = 0;
};

/// A network as it is to be used: for evaluation, scoring or export.
struct LoadedNetwork {
  NetworkShape shape;
  std::string origin;                         ///< for messages: "after 2000 steps", or "from FILE"
  std::shared_ptr<model::Backbone> backbone;  ///< in evaluation mode
};

/// Reads the network of a checkpoint folder or of a .pth onto `device`. A checkpoint names its
/// architecture itself, a .pth has that of `shape_of_pth`. Weights averaged over time are taken
/// when the training kept such (train.ema_decay), else those of the last update. No file of the
/// head is read, and entries "head.*" of a .pth are skipped. Throws c10::Error, data::DataError
/// naming file and entry. Not collective.
[[nodiscard]] LoadedNetwork load_network(const std::string& path, const NetworkShape& shape_of_pth,
                                         at::Device device);

}  // namespace diffprob::launch

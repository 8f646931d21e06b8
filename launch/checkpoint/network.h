#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "launch/config/config.h"
#include "model/foreign/channel_order.h"
#include "model/networks/backbone.h"
#include "model/weights/weights.h"

namespace diffprob::launch {

/// Architecture of the network whose weights a file holds; the file does not say it itself.
struct NetworkShape {
  std::string backbone;  ///< one of model::backbone_names()
  std::int64_t embedding_dim = 0;
  model::ChannelOrder channel_order = model::ChannelOrder::kRgb;  ///< of its training images
};
/// What the configuration says about the network of a weight file.
[[nodiscard]] NetworkShape shape_of_weight_file(const ModelConfig& config);

/// A network as it is to be used: for evaluation, scoring or export.
struct LoadedNetwork {
  NetworkShape shape;
  std::string origin;                         ///< for messages: "after 2000 steps", or "from FILE"
  std::string remark;                         ///< of load_backbone_weights()
  std::shared_ptr<model::Backbone> backbone;  ///< in evaluation mode
};

/// Copies the network of a checkpoint folder or of a weight file into `backbone`
/// (model::state_dict of it). The head, and entries "head.*" of a file, are skipped. `shape` is for
/// files (model/foreign/load_weights.h) and messages. Returns what the user should know about how
/// the file was read, in one line that begins with its path, or "". Throws c10::Error that names
/// the file and what does not fit.
[[nodiscard]] std::string load_backbone_weights(const std::string& path,
                                                const model::StateDict& backbone,
                                                const NetworkShape& shape);

/// Reads the network of a checkpoint folder or of a weight file onto `device`. A checkpoint names
/// its architecture itself, a file has that of `shape_of_file`. Weights averaged over time are
/// taken when the training kept such (train.ema_decay), else those of the last update. No file of
/// the head is read, and entries "head.*" of a file are skipped. Throws c10::Error, data::DataError
/// naming file and entry. Not collective.
[[nodiscard]] LoadedNetwork load_network(const std::string& path, const NetworkShape& shape_of_file,
                                         at::Device device);

}  // namespace diffprob::launch

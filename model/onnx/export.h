#pragma once

#include <cstdint>
#include <string>

#include "model/networks/backbone.h"

namespace diffprob::model {

enum class OnnxBatchNorm {
  kKept,    ///< the network as it was trained, layer by layer, with the weights that it has
  kFolded,  ///< into the convolution or linear map beside it wherever that is exact: those before a
            ///< 3x3 convolution stay, as it pads zeros
};

struct OnnxOptions {
  std::string network;  ///< its name, for who reads the file
  OnnxBatchNorm batch_norm = OnnxBatchNorm::kKept;
};

struct OnnxFile {
  std::int64_t bytes = 0;
  std::int64_t batch_norms = 0;  ///< nodes BatchNormalization
};

/// Writes a backbone, in evaluation mode, as an ONNX model (opset kOnnxOpset): input "input",
/// float32 [N, 3, 112, 112], RGB, (x / 255 - 0.5) / 0.5; output "embedding", float32 [N, D], not
/// normalised; N is free. Layers and weights have the names of the state dict. The same bytes for
/// the same weights. The file appears whole or not at all; besides the backbone, one tensor
/// (float64 when it is folded) is in memory.
/// @throws c10::Error for a network that is neither an IResNet nor a MobileFaceNet nor a vision
/// transformer, and as
/// OnnxModel::write
OnnxFile write_onnx(const std::string& path, const Backbone& backbone, const OnnxOptions& options);

}  // namespace diffprob::model

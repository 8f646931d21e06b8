#pragma once

#include <cstdint>
#include <string>

#include "model/inference/folding.h"
#include "model/onnx/export.h"
#include "model/onnx/writer.h"
#include "model/transformer/vision_transformer.h"

namespace diffprob::model {

/// Adds the nodes of a vision transformer that take the value `input` and give the value `output`,
/// [N, D]. Layer norms are written as the arithmetic that they are: the opset has no node for them.
/// `weights` must outlive the model. Returns the number of nodes BatchNormalization.
std::int64_t add_vision_transformer(OnnxModel& model, const VisionTransformerShape& shape,
                                    const NamedWeights& weights, OnnxBatchNorm batch_norm,
                                    const std::string& input, const std::string& output);

}  // namespace diffprob::model

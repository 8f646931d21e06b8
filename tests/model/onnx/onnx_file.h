#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>

namespace diffprob::tests {

struct OnnxNode {
  std::string op, name;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, std::vector<std::int64_t>> integers;  ///< attributes INT and INTS
  std::map<std::string, float> floats;
};

struct OnnxEnd {
  std::string name, description;
  std::uint64_t type = 0;
  std::vector<std::string> sizes;  ///< numbers, or names of free ones
};

/// An .onnx file, as the wire format and onnx.proto say: a reader of its own, for files that a test
/// has written.
struct OnnxContent {
  std::uint64_t ir_version = 0, opset = 0, bytes = 0;
  std::string producer, description, name;
  std::map<std::string, std::string> metadata;
  std::vector<OnnxNode> nodes;
  std::vector<OnnxEnd> inputs, outputs;
  std::map<std::string, at::Tensor> weights;  ///< float32 or int64
};
[[nodiscard]] OnnxContent read_onnx(const std::string& path);

/// Runs the nodes one by one in float64, as the operators' definitions say (opset 13). One input,
/// one output.
[[nodiscard]] at::Tensor run_onnx(const OnnxContent& model, const at::Tensor& input);

}  // namespace diffprob::tests

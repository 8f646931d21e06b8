#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/onnx/protobuf_message.h"

namespace diffprob::model {

/// Operators are those of this opset of the ONNX domain, and the file is of the IR version that
/// came with it (ONNX 1.8, 2020): what runtimes of today and of years ago read.
inline constexpr std::int64_t kOnnxOpset = 13;
inline constexpr std::int64_t kOnnxIrVersion = 7;

/// A size that is known when the model runs: the batch, "N".
inline constexpr std::int64_t kOnnxDynamic = -1;

struct OnnxAttribute {
  std::string name;
  std::variant<std::int64_t, float, std::vector<std::int64_t>> value;
};

/// An ONNX model under construction: nodes in the order in which they run, weights that are made
/// when they are written.
class OnnxModel {
 public:
  OnnxModel(const std::string& name, const std::string& description);

  /// For people and programs that read the file: metadata_props.
  void add_metadata(const std::string& key, const std::string& value);
  /// Float32. The values of input and output are the caller's to name in nodes.
  void add_input(const std::string& name, const std::vector<std::int64_t>& sizes,
                 const std::string& description);
  void add_output(const std::string& name, const std::vector<std::int64_t>& sizes,
                  const std::string& description);
  /// Float32 weights [sizes] (an initializer). `values` is called once by each write(): a floating
  /// tensor of these sizes. Returns `name`.
  std::string add_weights(std::string name, std::vector<std::int64_t> sizes,
                          std::function<at::Tensor()> values);
  /// A list of integers, such as the sizes that a Reshape takes. Returns `name`.
  std::string add_integers(const std::string& name, const std::vector<std::int64_t>& values);
  /// A node with one output, which has the node's name. Returns `name`.
  /// @throws c10::Error for an input that is neither the model's nor of a node before, and (as
  /// add_weights) for a name given twice
  std::string add_node(const std::string& op, const std::vector<std::string>& inputs,
                       const std::string& name, const std::vector<OnnxAttribute>& attributes = {});

  /// Bytes of the file.
  [[nodiscard]] std::uint64_t size() const;
  /// Appears whole or not at all; one tensor at a time is in memory besides those that `values`
  /// holds.
  /// @throws c10::Error beyond 2^31 - 1 bytes, which is protobuf's limit, before anything is
  /// written; data::DataError naming the file
  void write(const std::string& path) const;

 private:
  struct Weights {
    std::string name;
    std::vector<std::int64_t> sizes;
    std::function<at::Tensor()> values;
  };

  /// All of an initializer but its values, whose bytes follow.
  [[nodiscard]] static std::string announce_weights(const Weights& weights);
  [[nodiscard]] std::uint64_t graph_size() const;
  /// All of the file before the graph's fields.
  [[nodiscard]] std::string head() const;
  void claim(const std::string& name);

  std::string description_;
  std::vector<std::pair<std::string, std::string>> metadata_;
  ProtobufMessage graph_;  ///< without weights
  std::vector<Weights> weights_;
  std::set<std::string> names_;  ///< of values: there can be no two of one name
};

}  // namespace diffprob::model

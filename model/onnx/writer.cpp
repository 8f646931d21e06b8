#include "model/onnx/writer.h"

#include <algorithm>
#include <limits>
#include <span>

#include <ATen/ATen.h>

#include "data/files/atomic_file.h"

namespace diffprob::model {
namespace {

// Field numbers of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
namespace model_field {
enum : std::uint32_t {
  kIrVersion = 1,
  kProducerName = 2,
  kDocString = 6,
  kGraph = 7,
  kOpsetImport = 8,
  kMetadataProps = 14
};
}
namespace opset_field {
enum : std::uint32_t { kDomain = 1, kVersion = 2 };
}
namespace entry_field {
enum : std::uint32_t { kKey = 1, kValue = 2 };
}
namespace graph_field {
enum : std::uint32_t { kNode = 1, kName = 2, kInitializer = 5, kInput = 11, kOutput = 12 };
}
namespace node_field {
enum : std::uint32_t { kInput = 1, kOutput = 2, kName = 3, kOpType = 4, kAttribute = 5 };
}
namespace attribute_field {
enum : std::uint32_t { kName = 1, kFloat = 2, kInt = 3, kInts = 8, kType = 20 };
}
namespace tensor_field {
enum : std::uint32_t { kDims = 1, kDataType = 2, kName = 8, kRawData = 9 };
}
namespace value_field {
enum : std::uint32_t { kName = 1, kType = 2, kDocString = 3 };
}
namespace type_field {
enum : std::uint32_t {
  kTensorType = 1,
  kElemType = 1,
  kShape = 2,
  kDim = 1,
  kDimValue = 1,
  kDimParam = 2
};
}
constexpr std::uint64_t kAttributeFloat = 1, kAttributeInt = 2,
                        kAttributeInts = 7;                  // AttributeProto.AttributeType
constexpr std::uint64_t kTensorFloat = 1, kTensorInt64 = 7;  // TensorProto.DataType

constexpr std::uint64_t kMostBytes = std::numeric_limits<std::int32_t>::max();

std::uint64_t count_bytes(const std::vector<std::int64_t>& sizes) {
  std::uint64_t bytes = sizeof(float);
  for (const std::int64_t size : sizes) bytes *= static_cast<std::uint64_t>(size);
  return bytes;
}

ProtobufMessage encode(const OnnxAttribute& attribute) {
  ProtobufMessage message;
  message.bytes(attribute_field::kName, attribute.name);
  if (const auto* number = std::get_if<std::int64_t>(&attribute.value)) {
    message.varint(attribute_field::kInt, static_cast<std::uint64_t>(*number));
    message.varint(attribute_field::kType, kAttributeInt);
  } else if (const auto* real = std::get_if<float>(&attribute.value)) {
    message.float32(attribute_field::kFloat, *real);
    message.varint(attribute_field::kType, kAttributeFloat);
  } else {
    for (const std::int64_t item : std::get<std::vector<std::int64_t>>(attribute.value))
      message.varint(attribute_field::kInts, static_cast<std::uint64_t>(item));
    message.varint(attribute_field::kType, kAttributeInts);
  }
  return message;
}

ProtobufMessage encode_value(const std::string& name, const std::vector<std::int64_t>& sizes,
                             const std::string& description) {
  ProtobufMessage shape;
  for (const std::int64_t size : sizes) {
    ProtobufMessage dimension;
    if (size == kOnnxDynamic)
      dimension.bytes(type_field::kDimParam, "N");
    else
      dimension.varint(type_field::kDimValue, static_cast<std::uint64_t>(size));
    shape.message(type_field::kDim, dimension);
  }
  ProtobufMessage tensor;
  tensor.varint(type_field::kElemType, kTensorFloat);
  tensor.message(type_field::kShape, shape);
  ProtobufMessage type;
  type.message(type_field::kTensorType, tensor);
  ProtobufMessage value;
  value.bytes(value_field::kName, name);
  value.message(value_field::kType, type);
  value.bytes(value_field::kDocString, description);
  return value;
}

/// Through the file's buffer in pieces, so that it holds no second copy of a tensor.
void write_pieces(std::span<const std::byte> bytes, data::AtomicFile& file) {
  constexpr std::size_t kPiece = std::size_t{1} << 18;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(kPiece, bytes.size())))
    file.write(bytes.first(std::min(kPiece, bytes.size())));
}

}  // namespace

OnnxModel::OnnxModel(const std::string& name, const std::string& description)
    : description_(description) {
  graph_.bytes(graph_field::kName, name);
}

void OnnxModel::claim(const std::string& name) {
  TORCH_CHECK(names_.insert(name).second, "ONNX model: two values are named ", name);
}

void OnnxModel::add_metadata(const std::string& key, const std::string& value) {
  metadata_.emplace_back(key, value);
}

void OnnxModel::add_input(const std::string& name, const std::vector<std::int64_t>& sizes,
                          const std::string& description) {
  claim(name);
  graph_.message(graph_field::kInput, encode_value(name, sizes, description));
}

void OnnxModel::add_output(const std::string& name, const std::vector<std::int64_t>& sizes,
                           const std::string& description) {
  TORCH_CHECK(names_.contains(name), "ONNX model: no node produces the output ", name);
  graph_.message(graph_field::kOutput, encode_value(name, sizes, description));
}

std::string OnnxModel::add_weights(std::string name, std::vector<std::int64_t> sizes,
                                   std::function<at::Tensor()> values) {
  claim(name);
  weights_.push_back({std::move(name), std::move(sizes), std::move(values)});
  return weights_.back().name;
}

std::string OnnxModel::add_integers(const std::string& name,
                                    const std::vector<std::int64_t>& values) {
  claim(name);
  ProtobufMessage tensor;
  tensor.varint(tensor_field::kDims, values.size());
  tensor.varint(tensor_field::kDataType, kTensorInt64);
  tensor.bytes(tensor_field::kName, name);
  std::string raw;
  for (const std::int64_t value : values)
    append_little_endian(raw, static_cast<std::uint64_t>(value));
  tensor.bytes(tensor_field::kRawData, raw);
  graph_.message(graph_field::kInitializer, tensor);
  return name;
}

std::string OnnxModel::add_node(const std::string& op, const std::vector<std::string>& inputs,
                                const std::string& name,
                                const std::vector<OnnxAttribute>& attributes) {
  ProtobufMessage node;
  for (const std::string& input : inputs) {
    TORCH_CHECK(names_.contains(input), "ONNX model: node ", name, " takes ", input,
                ", which no earlier node produces");
    node.bytes(node_field::kInput, input);
  }
  claim(name);
  node.bytes(node_field::kOutput, name);
  node.bytes(node_field::kName, name);
  node.bytes(node_field::kOpType, op);
  for (const OnnxAttribute& attribute : attributes)
    node.message(node_field::kAttribute, encode(attribute));
  graph_.message(graph_field::kNode, node);
  return name;
}

std::string OnnxModel::announce_weights(const Weights& weights) {
  ProtobufMessage tensor;
  for (const std::int64_t size : weights.sizes)
    tensor.varint(tensor_field::kDims, static_cast<std::uint64_t>(size));
  tensor.varint(tensor_field::kDataType, kTensorFloat);
  tensor.bytes(tensor_field::kName, weights.name);
  const std::uint64_t bytes = count_bytes(weights.sizes);
  tensor.announce(tensor_field::kRawData, bytes);
  ProtobufMessage field;
  field.announce(graph_field::kInitializer, tensor.encoded().size() + bytes);
  return field.encoded() + tensor.encoded();
}

std::uint64_t OnnxModel::graph_size() const {
  std::uint64_t bytes = graph_.encoded().size();
  for (const Weights& weights : weights_)
    bytes += announce_weights(weights).size() + count_bytes(weights.sizes);
  return bytes;
}

std::string OnnxModel::head() const {
  ProtobufMessage opset;
  opset.bytes(opset_field::kDomain, "");
  opset.varint(opset_field::kVersion, kOnnxOpset);
  ProtobufMessage message;
  message.varint(model_field::kIrVersion, kOnnxIrVersion);
  message.message(model_field::kOpsetImport, opset);
  message.bytes(model_field::kProducerName, "diffprob");
  message.bytes(model_field::kDocString, description_);
  for (const auto& [key, value] : metadata_) {
    ProtobufMessage entry;
    entry.bytes(entry_field::kKey, key);
    entry.bytes(entry_field::kValue, value);
    message.message(model_field::kMetadataProps, entry);
  }
  message.announce(model_field::kGraph, graph_size());
  return message.encoded();
}

std::uint64_t OnnxModel::size() const {
  return head().size() + graph_size();
}

void OnnxModel::write(const std::string& path) const {
  TORCH_CHECK(size() <= kMostBytes, path, ": an ONNX file holds at most ", kMostBytes,
              " bytes (protobuf's limit), but this model needs ", size(), "; write it as .pth");
  data::AtomicFile file(path);
  file.write(head());
  file.write(graph_.encoded());
  for (const Weights& weights : weights_) {
    const at::Tensor values = weights.values().to(at::kCPU, at::kFloat).contiguous();
    TORCH_CHECK(values.sizes() == at::IntArrayRef(weights.sizes), path, ": ", weights.name,
                ": expected ", at::IntArrayRef(weights.sizes), ", found ", values.sizes());
    file.write(announce_weights(weights));
    write_pieces({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()}, file);
  }
  TORCH_INTERNAL_ASSERT(static_cast<std::uint64_t>(file.size()) == size());
  file.commit();
}

}  // namespace diffprob::model

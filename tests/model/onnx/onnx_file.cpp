#include "tests/model/onnx/onnx_file.h"

#include <fstream>
#include <functional>
#include <iterator>
#include <optional>

#include "tests/support/protobuf_fields.h"

namespace diffprob::tests {
namespace {

using Fields = ProtobufFields;

std::vector<std::string_view> all(const Fields& fields, int field) {
  std::vector<std::string_view> values;
  const auto [begin, end] = fields.texts.equal_range(field);
  for (auto item = begin; item != end; ++item) values.push_back(item->second);
  return values;
}

/// Of the bytes that `fields` was made of.
std::string_view view(const Fields& fields, int field) {
  const auto values = all(fields, field);
  EXPECT_EQ(values.size(), 1u) << "field " << field;
  return values.empty() ? std::string_view() : values[0];
}

std::string text(const Fields& fields, int field) {
  return std::string(view(fields, field));
}

std::vector<std::int64_t> integers(const Fields& fields, int field) {
  std::vector<std::int64_t> values;
  const auto [begin, end] = fields.numbers.equal_range(field);
  for (auto item = begin; item != end; ++item)
    values.push_back(static_cast<std::int64_t>(item->second));
  return values;
}

std::uint64_t number(const Fields& fields, int field) {
  const auto values = integers(fields, field);
  EXPECT_EQ(values.size(), 1u) << "field " << field;
  return values.empty() ? 0 : static_cast<std::uint64_t>(values[0]);
}

OnnxNode read_node(const Fields& fields) {
  OnnxNode node{text(fields, 4), text(fields, 3), {}, {}, {}, {}};
  for (const auto value : all(fields, 1)) node.inputs.emplace_back(value);
  for (const auto value : all(fields, 2)) node.outputs.emplace_back(value);
  for (const auto value : all(fields, 5)) {
    const Fields attribute(value);
    const std::uint64_t type = number(attribute, 20);
    if (type == 1) node.floats[text(attribute, 1)] = attribute.fixed<float>(2);
    if (type == 2) node.integers[text(attribute, 1)] = integers(attribute, 3);
    if (type == 7) node.integers[text(attribute, 1)] = integers(attribute, 8);
    EXPECT_TRUE(type == 1 || type == 2 || type == 7) << "attribute type " << type;
  }
  return node;
}

OnnxEnd read_end(const Fields& fields) {
  OnnxEnd end{text(fields, 1), text(fields, 3), 0, {}};
  const Fields tensor(view(Fields(view(fields, 2)), 1));
  end.type = number(tensor, 1);
  for (const auto value : all(Fields(view(tensor, 2)), 1)) {
    const Fields dimension(value);
    end.sizes.push_back(dimension.numbers.empty() ? text(dimension, 2)
                                                  : std::to_string(number(dimension, 1)));
  }
  return end;
}

void read_weights(const Fields& fields, OnnxContent& model) {
  const std::uint64_t type = number(fields, 2);
  EXPECT_TRUE(type == 1u || type == 7u) << type;  // FLOAT, INT64
  const at::Tensor values = at::empty(integers(fields, 1), type == 7u ? at::kLong : at::kFloat);
  const auto raw = all(fields, 9);
  ASSERT_EQ(raw.size(), 1u);
  ASSERT_EQ(raw[0].size(), values.nbytes());
  std::memcpy(values.mutable_data_ptr(), raw[0].data(), raw[0].size());
  EXPECT_TRUE(model.weights.emplace(text(fields, 8), values).second);
}

std::vector<std::int64_t> values_of(const at::Tensor& integers) {
  const at::Tensor host = integers.to(at::kLong).contiguous();
  return {host.data_ptr<std::int64_t>(), host.data_ptr<std::int64_t>() + host.numel()};
}

/// The operators that only vision transformers have.
std::optional<at::Tensor> run_transformer_node(const OnnxNode& node,
                                               const std::vector<at::Tensor>& in) {
  if (node.op == "Sub") return in[0] - in[1];
  if (node.op == "Div") return in[0] / in[1];
  if (node.op == "Sqrt") return in[0].sqrt();
  if (node.op == "MatMul") return in[0].matmul(in[1]);
  if (node.op == "Transpose") return in[0].permute(node.integers.at("perm"));
  if (node.op == "Clip") return in[0].clamp(in[1], in[2]);
  if (node.op == "ReduceMean") return in[0].mean(node.integers.at("axes"), /*keepdim=*/true);
  if (node.op == "Softmax") {
    const at::Tensor powers = (in[0] - in[0].amax({-1}, /*keepdim=*/true)).exp();
    EXPECT_EQ(node.integers.at("axis"), std::vector<std::int64_t>{-1});
    return powers / powers.sum({-1}, /*keepdim=*/true);
  }
  if (node.op == "Reshape") {
    std::vector<std::int64_t> sizes = values_of(in[1]);
    for (std::size_t i = 0; i < sizes.size(); ++i)
      if (sizes[i] == 0) sizes[i] = in[0].size(static_cast<std::int64_t>(i));
    return in[0].reshape(sizes);
  }
  if (node.op == "Slice") {
    EXPECT_EQ(in.size(), 4u);
    return in[0].slice(values_of(in[3])[0], values_of(in[1])[0], values_of(in[2])[0]);
  }
  return std::nullopt;
}

at::Tensor run_node(const OnnxNode& node, const std::vector<at::Tensor>& in) {
  const auto attribute = [&](const char* name) { return node.integers.at(name); };
  const auto per_channel = [](const at::Tensor& values, const at::Tensor& x) {
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(x.dim()), 1);
    sizes[1] = values.numel();
    return values.view(sizes);
  };
  if (node.op == "Conv") {
    const std::vector<std::int64_t> none(4, 0), one = {1};
    const auto pads = node.integers.contains("pads") ? attribute("pads") : none;
    const auto groups = node.integers.contains("group") ? attribute("group") : one;
    EXPECT_EQ(pads, std::vector<std::int64_t>(4, pads[0]));
    EXPECT_EQ(attribute("kernel_shape"), in[1].sizes().slice(2).vec());
    return at::conv2d(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor(), attribute("strides"),
                      {pads[0], pads[1]}, {1, 1}, groups[0]);
  }
  if (node.op == "BatchNormalization") {
    const at::Tensor scale =
        in[1] / (in[4] + static_cast<double>(node.floats.at("epsilon"))).sqrt();
    return (in[0] - per_channel(in[3], in[0])) * per_channel(scale, in[0]) +
           per_channel(in[2], in[0]);
  }
  if (node.op == "Gemm") {
    EXPECT_EQ(node.integers.at("transB"), std::vector<std::int64_t>{1});
    const at::Tensor product = in[0].mm(in[1].t());
    return in.size() > 2 ? product + in[2] : product;
  }
  if (node.op == "PRelu") return at::where(in[0] < 0, in[0] * in[1], in[0]);
  if (node.op == "Add") return in[0] + in[1];
  if (node.op == "Mul") return in[0] * in[1];
  if (node.op == "Relu") return in[0].clamp_min(0);
  if (node.op == "Sigmoid") return 1 / (1 + (-in[0]).exp());
  if (node.op == "GlobalAveragePool") return in[0].mean({2, 3}, /*keepdim=*/true);
  if (node.op == "Flatten") return in[0].reshape({in[0].size(0), -1});
  if (const auto found = run_transformer_node(node, in)) return *found;
  throw std::runtime_error("no operator " + node.op);
}

}  // namespace

OnnxContent read_onnx(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  const Fields fields(content);
  OnnxContent model;
  model.bytes = content.size();
  model.ir_version = number(fields, 1);
  model.producer = text(fields, 2);
  model.description = text(fields, 6);
  const Fields opset(view(fields, 8));
  EXPECT_EQ(text(opset, 1), "");
  model.opset = number(opset, 2);
  for (const auto value : all(fields, 14))
    model.metadata[text(Fields(value), 1)] = text(Fields(value), 2);
  const Fields graph(view(fields, 7));
  model.name = text(graph, 2);
  for (const auto value : all(graph, 1)) model.nodes.push_back(read_node(Fields(value)));
  for (const auto value : all(graph, 5)) read_weights(Fields(value), model);
  for (const auto value : all(graph, 11)) model.inputs.push_back(read_end(Fields(value)));
  for (const auto value : all(graph, 12)) model.outputs.push_back(read_end(Fields(value)));
  return model;
}

at::Tensor run_onnx(const OnnxContent& model, const at::Tensor& input) {
  std::map<std::string, at::Tensor> values = {{model.inputs.at(0).name, input.to(at::kDouble)}};
  for (const auto& [name, tensor] : model.weights) values[name] = tensor.to(at::kDouble);
  for (const OnnxNode& node : model.nodes) {
    std::vector<at::Tensor> in;
    for (const std::string& name : node.inputs) in.push_back(values.at(name));
    values[node.outputs.at(0)] = run_node(node, in);
  }
  return values.at(model.outputs.at(0).name);
}

}  // namespace diffprob::tests

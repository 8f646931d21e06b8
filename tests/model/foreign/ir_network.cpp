#include "tests/model/foreign/ir_network.h"

#include <torch/nn/functional/pooling.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include "tests/model/golden_network.h"

namespace diffprob::tests {
namespace nn = torch::nn;
namespace {

nn::Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                       std::int64_t padding) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(padding).bias(false));
}

nn::PReLU prelu(std::int64_t channels) {
  return nn::PReLU(nn::PReLUOptions().num_parameters(channels));
}

class ChannelGate : public nn::Module {
 public:
  explicit ChannelGate(std::int64_t channels)
      : fc1_(register_module("fc1", convolution(channels, channels / 16, 1, 1, 0))),
        fc2_(register_module("fc2", convolution(channels / 16, channels, 1, 1, 0))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    return x * fc2_(fc1_(x.mean({2, 3}, true)).relu()).sigmoid();
  }

 private:
  nn::Conv2d fc1_, fc2_;
};

class IrBlock : public nn::Module {
 public:
  IrBlock(std::int64_t in, std::int64_t out, std::int64_t stride, const IrOptions& options)
      : stride_(stride), res_layer_(register_module("res_layer", nn::Sequential())) {
    res_layer_->push_back(nn::BatchNorm2d(in));
    res_layer_->push_back(convolution(in, out, 3, 1, 1));
    if (options.norm_after_first) res_layer_->push_back(nn::BatchNorm2d(out));
    res_layer_->push_back(prelu(out));
    res_layer_->push_back(convolution(out, out, 3, stride, 1));
    res_layer_->push_back(nn::BatchNorm2d(out));
    if (options.squeeze_excitation && options.norm_after_first)
      res_layer_->push_back("se_block", ChannelGate(out));
    else if (options.squeeze_excitation)
      res_layer_->push_back(ChannelGate(out));
    if (in != out)
      shortcut_layer_ =
          register_module("shortcut_layer",
                          nn::Sequential(convolution(in, out, 1, stride, 0), nn::BatchNorm2d(out)));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor shortcut =
        shortcut_layer_.is_empty()
            ? nn::functional::max_pool2d(x, nn::functional::MaxPool2dFuncOptions(1).stride(stride_))
            : shortcut_layer_->forward(x);
    return res_layer_->forward(x) + shortcut;
  }

 private:
  std::int64_t stride_;
  nn::Sequential res_layer_, shortcut_layer_{nullptr};
};

}  // namespace

IrNetwork::IrNetwork(const IrOptions& options)
    : input_layer_(register_module("input_layer", nn::Sequential(convolution(3, 64, 3, 1, 1),
                                                                 nn::BatchNorm2d(64), prelu(64)))),
      body_(register_module("body", nn::Sequential())) {
  std::int64_t channels = 64;
  for (std::size_t stage = 0; stage < 4; ++stage) {
    const std::int64_t width = 64 << stage;
    for (std::int64_t block = 0; block < options.blocks[stage]; ++block) {
      body_->push_back(IrBlock(channels, width, block == 0 ? 2 : 1, options));
      channels = width;
    }
  }
  output_layer_ = register_module(
      "output_layer",
      nn::Sequential(
          nn::BatchNorm2d(512), nn::Dropout(0.4), nn::Flatten(), nn::Linear(512 * 7 * 7, 512),
          nn::BatchNorm1d(nn::BatchNorm1dOptions(512).affine(options.last_norm_is_affine))));
}

torch::Tensor IrNetwork::forward(const torch::Tensor& faces) {
  return output_layer_->forward(body_->forward(input_layer_->forward(faces)));
}

std::shared_ptr<IrNetwork> random_ir_network(const IrOptions& options, std::uint64_t seed) {
  auto network = std::make_shared<IrNetwork>(options);
  fill_network(*network, seed);
  torch::NoGradGuard no_grad;
  for (const auto& module : network->modules()) {
    if (auto* const slopes = module->as<nn::PReLU>()) slopes->weight.mul_(0.3);
  }
  network->eval();
  return network;
}

}  // namespace diffprob::tests

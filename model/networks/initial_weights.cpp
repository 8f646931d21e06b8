#include "model/networks/initial_weights.h"

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <cmath>
#include <string>

#include "data/random/keyed_random.h"

namespace diffprob::model {
namespace {

data::KeyedRandom stream_of(std::uint64_t seed, const std::string& name) {
  return data::KeyedRandom(data::combine_key(seed, data::key_of_name(name.c_str())));
}

void fill_normal(at::Tensor parameter, double deviation, data::KeyedRandom random) {
  float* values = parameter.data_ptr<float>();
  for (std::int64_t i = 0; i < parameter.numel(); ++i)
    values[i] = static_cast<float>(deviation) * random.normal();
}

void fill_uniform(at::Tensor parameter, double bound, data::KeyedRandom random) {
  const auto limit = static_cast<float>(bound);
  float* values = parameter.data_ptr<float>();
  for (std::int64_t i = 0; i < parameter.numel(); ++i) values[i] = random.uniform(-limit, limit);
}

/// sqrt(2 / fan_out) of a weight [out, in, ...].
double kaiming_fan_out(const at::Tensor& weight) {
  const std::int64_t area = weight[0].numel() / weight.size(1);
  return std::sqrt(2.0 / static_cast<double>(weight.size(0) * area));
}

void initialise_linear(torch::nn::LinearImpl& layer, const std::string& name, ConvolutionInit kind,
                       std::uint64_t seed) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(layer.weight.size(1)));
  if (kind == ConvolutionInit::kKaimingFanOut) {
    fill_normal(layer.weight, kaiming_fan_out(layer.weight), stream_of(seed, name + ".weight"));
  } else {
    fill_uniform(layer.weight, bound, stream_of(seed, name + ".weight"));
  }
  if (layer.bias.defined()) fill_uniform(layer.bias, bound, stream_of(seed, name + ".bias"));
}

}  // namespace

void initialise_weights(torch::nn::Module& module, ConvolutionInit kind, std::uint64_t seed) {
  torch::NoGradGuard no_grad;
  for (const auto& item : module.named_modules("", /*include_self=*/false)) {
    if (auto* convolution = item.value()->as<torch::nn::Conv2dImpl>()) {
      const double deviation =
          kind == ConvolutionInit::kNormal ? 0.1 : kaiming_fan_out(convolution->weight);
      fill_normal(convolution->weight, deviation, stream_of(seed, item.key() + ".weight"));
    } else if (auto* linear = item.value()->as<torch::nn::LinearImpl>()) {
      initialise_linear(*linear, item.key(), kind, seed);
    }
  }
}

void initialise_normal(at::Tensor parameter, double deviation, std::uint64_t seed,
                       const std::string& name) {
  const torch::NoGradGuard no_grad;
  fill_normal(std::move(parameter), deviation, stream_of(seed, name));
}

void initialise_uniform(at::Tensor parameter, double bound, std::uint64_t seed,
                        const std::string& name) {
  const torch::NoGradGuard no_grad;
  fill_uniform(std::move(parameter), bound, stream_of(seed, name));
}

}  // namespace diffprob::model

// A small network, its gradients computed without a reducer, and the layouts that tests run with.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "dist/reducer/gradient_reducer.h"
#include "tests/dist/ranks.h"

namespace diffprob::dist {

using tests::world_rank;
using tests::world_size;

/// Two convolutions, a linear layer, and a parameter that no output depends on.
struct SmallNetImpl : torch::nn::Module {
  SmallNetImpl()
      : first(register_module("first",
                              torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).padding(1)))),
        second(register_module("second",
                               torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 16, 3).stride(2)))),
        last(register_module("last", torch::nn::Linear(16, 5))),
        unused(register_parameter("unused", torch::ones({7}))) {}
  torch::Tensor forward(torch::Tensor x) {
    x = torch::relu(first(x));
    x = torch::relu(second(x)).mean({2, 3});
    return last(x);
  }
  torch::nn::Conv2d first;
  torch::nn::Conv2d second;
  torch::nn::Linear last;
  torch::Tensor unused;
};
TORCH_MODULE(SmallNet);

inline SmallNet make_net(at::MemoryFormat format) {
  torch::manual_seed(1);
  SmallNet net;
  const torch::NoGradGuard no_grad;
  for (auto& p : net->parameters()) {
    if (p.dim() == 4) p.set_data(p.contiguous(format));
  }
  return net;
}

/// The batch of one rank at one micro-step; every rank can make every other's.
inline torch::Tensor batch(int rank, int step, at::MemoryFormat format) {
  torch::manual_seed(100 * step + rank);
  return torch::randn({2, 3, 9, 9}).contiguous(format);
}

inline void backward(SmallNet& net, int rank, int step, at::MemoryFormat format) {
  net(batch(rank, step, format)).square().sum().backward();
}

/// Gradients of the given micro-steps, summed over ranks in rank order, all computed on this rank.
inline std::vector<at::Tensor> reference(at::MemoryFormat format, const std::vector<int>& steps) {
  std::vector<at::Tensor> sums;
  for (int r = 0; r < world_size(); ++r) {
    auto net = make_net(format);
    for (const int step : steps) backward(net, r, step, format);
    const auto parameters = net->parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto gradient =
          parameters[i].grad().defined() ? parameters[i].grad() : torch::zeros_like(parameters[i]);
      r == 0 ? sums.push_back(gradient.clone()) : static_cast<void>(sums[i] += gradient);
    }
  }
  return sums;
}

inline void expect_equal_gradients(SmallNet& net, const std::vector<at::Tensor>& expected,
                                   const std::string& when) {
  const auto parameters = net->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_TRUE(torch::equal(parameters[i].grad(), expected[i])) << when << ", parameter " << i;
    EXPECT_EQ(parameters[i].grad().strides(), parameters[i].strides())
        << when << ", parameter " << i;
  }
}

inline GradientReducerOptions small_buckets(GradientReducerOptions::Combine combine) {
  return {.bucket_bytes = 1500,
          .first_bucket_bytes = 100,
          .last_bucket_bytes = 100,
          .combine = combine};
}

/// Tests that run with contiguous and with channels_last parameters.
class LayoutsTest : public ::testing::TestWithParam<at::MemoryFormat> {
 protected:
  std::unique_ptr<Communicator> comm_ = make_mpi_communicator();
};

[[nodiscard]] inline auto layouts() {
  return ::testing::Values(at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast);
}

[[nodiscard]] inline std::string layout_name(
    const ::testing::TestParamInfo<at::MemoryFormat>& layout) {
  return layout.param == at::MemoryFormat::Contiguous ? "Contiguous" : "ChannelsLast";
}

}  // namespace diffprob::dist

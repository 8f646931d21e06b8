#include "dist/gradient_reducer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

using tests::world_rank;
using tests::world_size;

/// conv, conv, linear and a parameter that no output depends on.
struct SmallNetImpl : torch::nn::Module {
  SmallNetImpl()
      : first(register_module("first", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).padding(1)))),
        second(register_module("second", torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 16, 3).stride(2)))),
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

SmallNet make_net(at::MemoryFormat format) {
  torch::manual_seed(1);
  SmallNet net;
  const torch::NoGradGuard no_grad;
  for (auto& p : net->parameters()) {
    if (p.dim() == 4) p.set_data(p.contiguous(format));
  }
  return net;
}

/// The batch of one rank at one micro-step; every rank can make every other's.
torch::Tensor batch(int rank, int step, at::MemoryFormat format) {
  torch::manual_seed(100 * step + rank);
  return torch::randn({2, 3, 9, 9}).contiguous(format);
}

void backward(SmallNet& net, int rank, int step, at::MemoryFormat format) {
  net(batch(rank, step, format)).square().sum().backward();
}

/// Gradients of the given micro-steps, summed over ranks in rank order, all computed on this rank.
std::vector<at::Tensor> reference(at::MemoryFormat format, const std::vector<int>& steps) {
  std::vector<at::Tensor> sums;
  for (int r = 0; r < world_size(); ++r) {
    auto net = make_net(format);
    for (const int step : steps) backward(net, r, step, format);
    const auto parameters = net->parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto gradient = parameters[i].grad().defined() ? parameters[i].grad() : torch::zeros_like(parameters[i]);
      r == 0 ? sums.push_back(gradient.clone()) : static_cast<void>(sums[i] += gradient);
    }
  }
  return sums;
}

void expect_equal_gradients(SmallNet& net, const std::vector<at::Tensor>& expected, const std::string& when) {
  const auto parameters = net->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_TRUE(torch::equal(parameters[i].grad(), expected[i])) << when << ", parameter " << i;
    EXPECT_EQ(parameters[i].grad().strides(), parameters[i].strides()) << when << ", parameter " << i;
  }
}

GradientReducerOptions small_buckets(GradientReducerOptions::Combine combine) {
  return {1500, 100, combine};
}

class GradientReducerTest : public ::testing::TestWithParam<at::MemoryFormat> {
 protected:
  std::unique_ptr<Communicator> comm_ = make_mpi_communicator();
};

TEST_P(GradientReducerTest, EqualsPlainSummationStepAfterStep) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_, small_buckets(GradientReducerOptions::Combine::kSum));

  for (int step = 0; step < 3; ++step) {
    reducer.zero_grad();
    backward(net, world_rank(), step, GetParam());
    reducer.finish();

    expect_equal_gradients(net, reference(GetParam(), {step}), "step " + std::to_string(step));
  }
}

TEST_P(GradientReducerTest, AverageDividesByTheRanks) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_);
  auto expected = reference(GetParam(), {4});
  for (auto& gradient : expected) gradient /= world_size();

  reducer.zero_grad();
  backward(net, world_rank(), 4, GetParam());
  reducer.finish();

  expect_equal_gradients(net, expected, "one step");
}

TEST_P(GradientReducerTest, AccumulationCommunicatesOnce) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_, small_buckets(GradientReducerOptions::Combine::kSum));

  for (int round = 0; round < 2; ++round) {
    reducer.zero_grad();
    reducer.set_communicate(false);
    backward(net, world_rank(), 10, GetParam());
    backward(net, world_rank(), 11, GetParam());
    reducer.set_communicate(true);
    backward(net, world_rank(), 12, GetParam());
    reducer.finish();

    expect_equal_gradients(net, reference(GetParam(), {10, 11, 12}), "round " + std::to_string(round));
  }
}

TEST_P(GradientReducerTest, GradientsReplacedByOthersAreStillReduced) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_, small_buckets(GradientReducerOptions::Combine::kSum));

  for (int step = 0; step < 2; ++step) {
    reducer.zero_grad();
    for (auto& p : net->parameters()) p.mutable_grad().reset();  // as zero_grad(set_to_none) of an optimizer does
    backward(net, world_rank(), step, GetParam());
    reducer.finish();

    expect_equal_gradients(net, reference(GetParam(), {step}), "step " + std::to_string(step));
  }
}

TEST_P(GradientReducerTest, RanksHoldTheSameBits) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_);
  reducer.zero_grad();
  backward(net, world_rank(), 0, GetParam());
  reducer.finish();

  for (const auto& p : net->parameters()) {
    const auto own = p.grad().contiguous().view({1, -1});
    auto all = torch::empty({world_size(), own.size(1)});
    comm_->all_gather(all, own)->wait_host();
    for (int r = 0; r < world_size(); ++r) EXPECT_TRUE(torch::equal(all[r], own[0]));
  }
}

TEST_P(GradientReducerTest, AParameterUsedOnSomeRanksOnly) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_, small_buckets(GradientReducerOptions::Combine::kSum));
  for (int step = 0; step < 2; ++step) {
    reducer.zero_grad();
    auto loss = net(batch(world_rank(), step, GetParam())).square().sum();
    if (world_rank() == world_size() - 1) loss = loss + (net->unused * 3).sum();
    loss.backward();
    reducer.finish();

    EXPECT_TRUE(torch::equal(net->unused.grad(), torch::full({7}, 3.0F)));
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, GradientReducerTest, ::testing::Values(at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast),
                         [](const auto& layout) {
                           return std::string(layout.param == at::MemoryFormat::Contiguous ? "Contiguous" : "ChannelsLast");
                         });

TEST(GradientReducerErrors, AreSaid) {
  auto comm = make_mpi_communicator();
  auto weight = torch::ones({3}, torch::requires_grad());
  EXPECT_THROW(GradientReducer({}, *comm), c10::Error);
  EXPECT_THROW(GradientReducer({torch::ones({3})}, *comm), c10::Error);
  if (world_size() > 1) {
    EXPECT_THROW(GradientReducer({torch::ones({3 + world_rank()}, torch::requires_grad())}, *comm), c10::Error);
  }

  GradientReducer reducer({weight}, *comm);
  weight.sum().backward();
  EXPECT_THROW(weight.sum().backward(), c10::Error);
  reducer.finish();
}

/// One rank; writes down what is sent, and when.
class RecordingCommunicator final : public Communicator {
 public:
  explicit RecordingCommunicator(std::vector<std::string>& log) : Communicator(0, 1, at::kCPU, {}), log_(log) {}
  void abort() noexcept override {}

 private:
  struct Nothing final : Work {
    void wait_stream() override {}
    void wait_host() override {}
  };
  std::unique_ptr<Work> do_all_reduce(at::Tensor tensor, ReduceOp op) override {
    if (op == ReduceOp::kSum) log_.push_back("send " + std::to_string(tensor.numel()));
    return std::make_unique<Nothing>();
  }
  std::unique_ptr<Work> do_all_gather_v(at::Tensor, at::Tensor, std::vector<std::int64_t>) override { return std::make_unique<Nothing>(); }
  std::unique_ptr<Work> do_reduce_scatter_v(at::Tensor, at::Tensor, std::vector<std::int64_t>) override {
    return std::make_unique<Nothing>();
  }
  std::unique_ptr<Work> do_broadcast(at::Tensor, int) override { return std::make_unique<Nothing>(); }
  std::unique_ptr<Work> do_barrier() override { return std::make_unique<Nothing>(); }

  std::vector<std::string>& log_;
};

TEST(GradientReducerOverlap, BucketsFollowTheTrueOrderAndLeaveDuringBackward) {
  std::vector<std::string> log;
  RecordingCommunicator comm(log);
  // Gradients arrive as a, b, c, which is not the reverse of the order of the parameters. One bucket each: 16, 32, 48 elements.
  auto a = torch::ones({16}, torch::requires_grad());
  auto b = torch::ones({32}, torch::requires_grad());
  auto c = torch::ones({48}, torch::requires_grad());
  GradientReducer reducer({a, b, c}, comm, {1, 1, GradientReducerOptions::Combine::kSum});
  const auto hooks = {a.register_hook([&](const at::Tensor&) { log.emplace_back("gradient a"); }),
                      b.register_hook([&](const at::Tensor&) { log.emplace_back("gradient b"); }),
                      c.register_hook([&](const at::Tensor&) { log.emplace_back("gradient c"); })};
  EXPECT_EQ(hooks.size(), 3U);
  const auto step = [&] {
    log.clear();
    reducer.zero_grad();
    ((c.sum() * b).sum() * a).sum().backward();
    log.emplace_back("end of backward");
    reducer.finish();
    return log;
  };

  using Log = std::vector<std::string>;
  EXPECT_EQ(step(), (Log{"gradient a", "gradient b", "gradient c", "send 48", "send 32", "send 16", "end of backward"}));
  EXPECT_EQ(a.grad()[0].item<float>(), 48.0F * 32.0F);  // contents survived the new order
  EXPECT_EQ(b.grad()[0].item<float>(), 48.0F * 16.0F);
  EXPECT_EQ(step(), (Log{"gradient a", "send 16", "gradient b", "send 32", "gradient c", "send 48", "end of backward"}));
  EXPECT_EQ(step(), (Log{"gradient a", "send 16", "gradient b", "send 32", "gradient c", "send 48", "end of backward"}));
}

}  // namespace
}  // namespace diffprob::dist

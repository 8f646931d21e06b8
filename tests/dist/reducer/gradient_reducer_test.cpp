#include "dist/reducer/gradient_reducer.h"

#include <gtest/gtest.h>
#include <torch/nn.h>

#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

using tests::world_rank;
using tests::world_size;

/// conv, conv, linear and a parameter that no output depends on.
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
      const auto gradient =
          parameters[i].grad().defined() ? parameters[i].grad() : torch::zeros_like(parameters[i]);
      r == 0 ? sums.push_back(gradient.clone()) : static_cast<void>(sums[i] += gradient);
    }
  }
  return sums;
}

void expect_equal_gradients(SmallNet& net, const std::vector<at::Tensor>& expected,
                            const std::string& when) {
  const auto parameters = net->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_TRUE(torch::equal(parameters[i].grad(), expected[i])) << when << ", parameter " << i;
    EXPECT_EQ(parameters[i].grad().strides(), parameters[i].strides())
        << when << ", parameter " << i;
  }
}

GradientReducerOptions small_buckets(GradientReducerOptions::Combine combine) {
  return {.bucket_bytes = 1500, .first_bucket_bytes = 100, .combine = combine};
}

class GradientReducerTest : public ::testing::TestWithParam<at::MemoryFormat> {
 protected:
  std::unique_ptr<Communicator> comm_ = make_mpi_communicator();
};

TEST_P(GradientReducerTest, EqualsPlainSummationStepAfterStep) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_,
                          small_buckets(GradientReducerOptions::Combine::kSum));

  for (int step = 0; step < 3; ++step) {
    reducer.zero_grad();
    backward(net, world_rank(), step, GetParam());
    reducer.finish();

    expect_equal_gradients(net, reference(GetParam(), {step}), "step " + std::to_string(step));
  }
}

TEST_P(GradientReducerTest, AverageDividesByTheRanks) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_,
                          {.combine = GradientReducerOptions::Combine::kAverage});
  auto expected = reference(GetParam(), {4});
  for (auto& gradient : expected) gradient /= world_size();

  reducer.zero_grad();
  backward(net, world_rank(), 4, GetParam());
  reducer.finish();

  expect_equal_gradients(net, expected, "one step");
}

TEST_P(GradientReducerTest, AccumulationCommunicatesOnce) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_,
                          small_buckets(GradientReducerOptions::Combine::kSum));

  for (int round = 0; round < 2; ++round) {
    reducer.zero_grad();
    reducer.set_communicate(false);
    backward(net, world_rank(), 10, GetParam());
    backward(net, world_rank(), 11, GetParam());
    reducer.set_communicate(true);
    backward(net, world_rank(), 12, GetParam());
    reducer.finish();

    expect_equal_gradients(net, reference(GetParam(), {10, 11, 12}),
                           "round " + std::to_string(round));
  }
}

/// What a trainer does: the loss of each micro-step divided by their number, one communication, the
/// average over the ranks.
TEST_P(GradientReducerTest, MicroStepsDivideAndMakeOneLargeBatch) {
  constexpr int kMicroSteps = 4;
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_,
                          small_buckets(GradientReducerOptions::Combine::kAverage));
  for (int round = 0; round < 3; ++round) {
    std::vector<torch::Tensor> whole;
    for (int r = 0; r < world_size(); ++r) {
      for (int m = 0; m < kMicroSteps; ++m)
        whole.push_back(batch(r, 20 + round * kMicroSteps + m, GetParam()));
    }
    auto slow = make_net(GetParam());
    slow(torch::cat(whole)).square().mean().backward();

    reducer.zero_grad();
    for (int m = 0; m < kMicroSteps; ++m) {
      reducer.set_communicate(m + 1 == kMicroSteps);
      (net(batch(world_rank(), 20 + round * kMicroSteps + m, GetParam())).square().mean() /
       kMicroSteps)
          .backward();
    }
    reducer.finish();

    for (std::size_t i = 0; i < net->parameters().size(); ++i) {
      const auto expected = slow->parameters()[i].grad();
      const auto found = net->parameters()[i].grad();
      if (!expected.defined()) {
        EXPECT_EQ(found.abs().max().item<float>(), 0.0F);
        continue;
      }
      EXPECT_TRUE(torch::allclose(found, expected, 1e-4, 1e-6))
          << "round " << round << ", parameter " << i;
    }
  }
}

/// Without finish() and communication nothing is sent, and the gradients are the rank's own.
TEST_P(GradientReducerTest, AFirstStepWithoutCommunicationStaysLocal) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_,
                          small_buckets(GradientReducerOptions::Combine::kSum));
  reducer.set_communicate(false);
  reducer.zero_grad();
  backward(net, world_rank(), 5, GetParam());
  reducer.finish();

  auto alone = make_net(GetParam());
  backward(alone, world_rank(), 5, GetParam());
  for (std::size_t i = 0; i < net->parameters().size(); ++i) {
    const auto& expected = alone->parameters()[i].grad();
    if (expected.defined()) {
      EXPECT_TRUE(torch::equal(net->parameters()[i].grad(), expected));
    }
  }

  reducer.set_communicate(true);
  reducer.zero_grad();
  backward(net, world_rank(), 6, GetParam());
  reducer.finish();
  expect_equal_gradients(net, reference(GetParam(), {6}), "the step after");
}

/// What travels as bfloat16 or float16: each rank's gradient rounded, added in float32, rounded.
TEST_P(GradientReducerTest, SixteenBitCommunicationEqualsTheSlowRounding) {
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    for (const auto combine :
         {GradientReducerOptions::Combine::kSum, GradientReducerOptions::Combine::kAverage}) {
      auto net = make_net(GetParam());
      auto options = small_buckets(combine);
      options.communication_dtype = dtype;
      GradientReducer reducer(net->parameters(), *comm_, options);
      for (int step = 0; step < 2; ++step) {  // the second in the agreed order
        std::vector<at::Tensor> expected;
        for (int r = 0; r < world_size(); ++r) {
          auto other = make_net(GetParam());
          backward(other, r, step, GetParam());
          for (std::size_t i = 0; i < other->parameters().size(); ++i) {
            const auto p = other->parameters()[i];
            auto g = p.grad().defined() ? p.grad().clone() : torch::zeros_like(p);
            if (combine == GradientReducerOptions::Combine::kAverage) g = g / world_size();
            if (world_size() > 1) g = g.to(dtype).to(torch::kFloat);
            r == 0 ? expected.push_back(g) : static_cast<void>(expected[i] += g);
          }
        }

        reducer.zero_grad();
        backward(net, world_rank(), step, GetParam());
        reducer.finish();

        if (world_size() > 1) {
          for (auto& g : expected) g = g.to(dtype).to(torch::kFloat);
        }
        expect_equal_gradients(
            net, expected, std::string(c10::toString(dtype)) + ", step " + std::to_string(step));
        const auto exact = reference(GetParam(), {step});
        const float scale = combine == GradientReducerOptions::Combine::kAverage
                                ? static_cast<float>(world_size())
                                : 1.0F;
        for (std::size_t i = 0; i < exact.size(); ++i) {
          const auto difference =
              (net->parameters()[i].grad() * scale - exact[i]).norm().item<float>();
          EXPECT_LE(difference, 0.008F * exact[i].norm().item<float>())
              << dtype << ", parameter " << i;
        }
      }
    }
  }
}

TEST_P(GradientReducerTest, SixteenBitCommunicationAccumulatesInFloat32) {
  auto net = make_net(GetParam());
  auto options = small_buckets(GradientReducerOptions::Combine::kSum);
  options.communication_dtype = at::kBFloat16;
  GradientReducer reducer(net->parameters(), *comm_, options);
  const auto exact = reference(GetParam(), {10, 11, 12});

  reducer.zero_grad();
  reducer.set_communicate(false);
  backward(net, world_rank(), 10, GetParam());
  backward(net, world_rank(), 11, GetParam());
  reducer.set_communicate(true);
  backward(net, world_rank(), 12, GetParam());
  reducer.finish();

  for (std::size_t i = 0; i < exact.size(); ++i) {
    const auto& found = net->parameters()[i].grad();
    EXPECT_EQ(found.scalar_type(), at::kFloat);
    EXPECT_LE((found - exact[i]).norm().item<float>(), 0.008F * exact[i].norm().item<float>())
        << "parameter " << i;
  }
}

TEST_P(GradientReducerTest, NotFiniteGradientsSurviveSixteenBits) {
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    auto net = make_net(GetParam());
    GradientReducerOptions options;
    options.communication_dtype = dtype;
    GradientReducer reducer(net->parameters(), *comm_, options);
    reducer.zero_grad();
    auto images = batch(world_rank(), 0, GetParam());
    if (world_rank() == world_size() - 1)
      images[0][0][0][0] = std::numeric_limits<float>::quiet_NaN();
    net(images).square().sum().backward();
    reducer.finish();

    EXPECT_TRUE(net->last->weight.grad().isnan().any().item<bool>()) << dtype;
  }
}

TEST_P(GradientReducerTest, GradientsReplacedByOthersAreStillReduced) {
  auto net = make_net(GetParam());
  GradientReducer reducer(net->parameters(), *comm_,
                          small_buckets(GradientReducerOptions::Combine::kSum));

  for (int step = 0; step < 2; ++step) {
    reducer.zero_grad();
    for (auto& p : net->parameters())
      p.mutable_grad().reset();  // as zero_grad(set_to_none) of an optimizer does
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
  GradientReducer reducer(net->parameters(), *comm_,
                          small_buckets(GradientReducerOptions::Combine::kSum));
  for (int step = 0; step < 2; ++step) {
    reducer.zero_grad();
    auto loss = net(batch(world_rank(), step, GetParam())).square().sum();
    if (world_rank() == world_size() - 1) loss = loss + (net->unused * 3).sum();
    loss.backward();
    reducer.finish();

    EXPECT_TRUE(torch::equal(net->unused.grad(), torch::full({7}, 3.0F)));
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, GradientReducerTest,
                         ::testing::Values(at::MemoryFormat::Contiguous,
                                           at::MemoryFormat::ChannelsLast),
                         [](const auto& layout) {
                           return std::string(layout.param == at::MemoryFormat::Contiguous
                                                  ? "Contiguous"
                                                  : "ChannelsLast");
                         });

/// A ring in the type itself: each rank adds its term and rounds. Share of the sum that is lost.
double lost_in_a_ring(at::ScalarType type, std::int64_t ranks) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{5});
  const auto terms = torch::rand({ranks}, generator).add_(0.5).to(type);
  auto sum = torch::zeros({}, type);
  for (std::int64_t rank = 0; rank < ranks; ++rank) sum = sum + terms[rank];
  const double exact = terms.to(at::kDouble).sum().item<double>();
  return std::abs(sum.to(at::kDouble).item<double>() - exact) / exact;
}

TEST(GradientReducerTypes, GpusAddInSixteenBitsAsFarAsTheDigitsGo) {
  const at::Device gpu(at::kCUDA, 0);
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    const std::int64_t most = most_ranks_adding_in(type, gpu);
    EXPECT_LT(lost_in_a_ring(type, most), 0.05) << type;
    EXPECT_GT(lost_in_a_ring(type, 8 * most), 0.2) << type;
    EXPECT_GT(most_ranks_adding_in(type, at::kCPU), 1 << 20) << type;
  }
  EXPECT_GT(most_ranks_adding_in(at::kFloat, gpu), 1 << 20);
}

TEST(GradientReducerErrors, AreSaid) {
  auto comm = make_mpi_communicator();
  auto weight = torch::ones({3}, torch::requires_grad());
  EXPECT_THROW(GradientReducer({}, *comm), c10::Error);
  EXPECT_THROW(GradientReducer({torch::ones({3})}, *comm), c10::Error);
  EXPECT_THROW(GradientReducer({weight}, *comm, {.communication_dtype = at::kInt}), c10::Error);
  if (world_size() > 1) {
    EXPECT_THROW(GradientReducer({torch::ones({3 + world_rank()}, torch::requires_grad())}, *comm),
                 c10::Error);
  }

  GradientReducer reducer({weight}, *comm);
  weight.sum().backward();
  EXPECT_THROW(weight.sum().backward(), c10::Error);
  reducer.finish();
}

/// Ranks whose gradients arrive in different orders, the first micro-steps silent: rank 0's order
/// counts, and the sums are right.
TEST(GradientReducerOrder, IsAgreedOnWhenRanksDifferAndAccumulate) {
  auto comm = make_mpi_communicator();
  auto a = torch::full({16}, 2.0, torch::requires_grad());
  auto b = torch::full({32}, 3.0, torch::requires_grad());
  auto c = torch::full({48}, 5.0, torch::requires_grad());
  GradientReducer reducer({a, b, c}, *comm,
                          {.bucket_bytes = 1,
                           .first_bucket_bytes = 1,
                           .combine = GradientReducerOptions::Combine::kSum});
  const auto backward_once = [&] {
    // d/da = 1 * rank factor and so on; the graph's depth decides who comes first, and differs
    // between even and odd ranks
    const float factor = static_cast<float>(world_rank() + 1);
    if (world_rank() % 2 == 0) {
      ((c.sum() * factor + b.sum() * factor) * 1.0F + a.sum() * factor).backward();
    } else {
      ((a.sum() * factor + b.sum() * factor) * 1.0F + c.sum() * factor).backward();
    }
  };
  float ranks = 0;
  for (int r = 0; r < world_size(); ++r) ranks += static_cast<float>(r + 1);
  for (int round = 0; round < 3; ++round) {
    reducer.zero_grad();
    for (int m = 0; m < 3; ++m) {
      reducer.set_communicate(m == 2);
      backward_once();
    }
    reducer.finish();

    for (const auto& p : {a, b, c})
      EXPECT_TRUE(torch::equal(p.grad(), torch::full_like(p, 3 * ranks))) << "round " << round;
  }
}

/// One rank; writes down what is sent, and when.
class RecordingCommunicator final : public Communicator {
 public:
  explicit RecordingCommunicator(std::vector<std::string>& log)
      : Communicator(0, 1, at::kCPU, {}), log_(log) {}
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
  std::unique_ptr<Work> do_all_gather_v(at::Tensor, at::Tensor,
                                        std::vector<std::int64_t>) override {
    return std::make_unique<Nothing>();
  }
  std::unique_ptr<Work> do_reduce_scatter_v(at::Tensor, at::Tensor,
                                            std::vector<std::int64_t>) override {
    return std::make_unique<Nothing>();
  }
  std::unique_ptr<Work> do_broadcast(at::Tensor, int) override {
    return std::make_unique<Nothing>();
  }
  std::unique_ptr<Work> do_barrier() override { return std::make_unique<Nothing>(); }

  std::vector<std::string>& log_;
};

TEST(GradientReducerOverlap, SilentMicroStepsSendNothing) {
  std::vector<std::string> log;
  RecordingCommunicator comm(log);
  auto a = torch::ones({16}, torch::requires_grad());
  GradientReducer reducer({a}, comm);
  reducer.zero_grad();
  reducer.set_communicate(false);
  a.sum().backward();
  a.sum().backward();
  reducer.finish();
  EXPECT_EQ(log, std::vector<std::string>{});
  reducer.set_communicate(true);
  a.sum().backward();
  reducer.finish();
  EXPECT_EQ(log, std::vector<std::string>{"send 16"});
  EXPECT_EQ(a.grad()[0].item<float>(), 3.0F);
}

/// A reducer that begins anew, as after a resume, sends what one that goes on sends.
TEST(GradientReducerOverlap, BucketsKeepTheirOrderWhenAsked) {
  std::vector<std::string> log;
  RecordingCommunicator comm(log);
  auto a = torch::ones({16}, torch::requires_grad());
  auto b = torch::ones({32}, torch::requires_grad());
  GradientReducer reducer({a, b}, comm,
                          {.bucket_bytes = 1, .first_bucket_bytes = 1, .reorder = false});
  for (int step = 0; step < 3; ++step) {
    log.clear();
    reducer.zero_grad();
    (b.sum() * a).sum().backward();  // a's gradient comes first
    reducer.finish();
    EXPECT_EQ(log, (std::vector<std::string>{"send 32", "send 16"})) << step;
  }
}

TEST(GradientReducerOverlap, BucketsFollowTheTrueOrderAndLeaveDuringBackward) {
  std::vector<std::string> log;
  RecordingCommunicator comm(log);
  // Gradients arrive as a, b, c, which is not the reverse of the order of the parameters. One
  // bucket each: 16, 32, 48 elements.
  auto a = torch::ones({16}, torch::requires_grad());
  auto b = torch::ones({32}, torch::requires_grad());
  auto c = torch::ones({48}, torch::requires_grad());
  GradientReducer reducer({a, b, c}, comm,
                          {.bucket_bytes = 1,
                           .first_bucket_bytes = 1,
                           .combine = GradientReducerOptions::Combine::kSum});
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
  EXPECT_EQ(step(), (Log{"gradient a", "gradient b", "gradient c", "send 48", "send 32", "send 16",
                         "end of backward"}));
  EXPECT_EQ(a.grad()[0].item<float>(), 48.0F * 32.0F);  // contents survived the new order
  EXPECT_EQ(b.grad()[0].item<float>(), 48.0F * 16.0F);
  EXPECT_EQ(step(), (Log{"gradient a", "send 16", "gradient b", "send 32", "gradient c", "send 48",
                         "end of backward"}));
  EXPECT_EQ(step(), (Log{"gradient a", "send 16", "gradient b", "send 32", "gradient c", "send 48",
                         "end of backward"}));
}

}  // namespace
}  // namespace diffprob::dist

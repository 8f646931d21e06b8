#include "dist/reducer/gradient_reducer.h"

#include <torch/autograd.h>

#include "dist/reducer/gradient_places.h"
#include "tests/dist/reducer/small_net.h"

namespace diffprob::dist {
namespace {

using GradientReducerTest = LayoutsTest;

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

/// Writes the gradient of a parameter p in sum(factor * p) to its place, where it has one.
struct SumFunction : torch::autograd::Function<SumFunction> {
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, const torch::Tensor& p,
                               double factor, GradientPlaces* places) {
    ctx->save_for_backward({p});
    ctx->saved_data["factor"] = factor;
    ctx->saved_data["places"] = static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(places));
    return p.sum() * factor;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 const torch::autograd::variable_list&) {
    const torch::Tensor p = ctx->get_saved_variables()[0];
    const double factor = ctx->saved_data["factor"].toDouble();
    auto* places = reinterpret_cast<GradientPlaces*>(
        static_cast<std::intptr_t>(ctx->saved_data["places"].toInt()));
    torch::Tensor place = places->take(p);
    return {place.defined() ? place.fill_(factor) : torch::full_like(p, factor), {}, {}};
  }
};

/// With micro-steps and two uses of a parameter in one backward; no place is given twice.
TEST_P(GradientReducerTest, GradientsMayBeWrittenToTheirPlaces) {
  auto net = make_net(GetParam());
  GradientPlaces places;
  auto options = small_buckets(GradientReducerOptions::Combine::kSum);
  options.places = &places;
  GradientReducer reducer(net->parameters(), *comm_, options);
  const auto use = [&](double factor) {
    torch::Tensor loss = torch::zeros({});
    for (const auto& p : net->parameters()) loss = loss + SumFunction::apply(p, factor, &places);
    return loss;
  };
  for (int step = 0; step < 3; ++step) {
    reducer.zero_grad();
    for (const auto& p : net->parameters()) EXPECT_FALSE(p.grad().defined());
    reducer.set_communicate(false);
    (use(1) + use(2)).backward();
    reducer.set_communicate(true);
    use(4).backward();
    reducer.finish();
    for (const auto& p : net->parameters()) {
      EXPECT_TRUE(torch::equal(p.grad(), torch::full_like(p, 7.0 * world_size())));
      EXPECT_FALSE(places.take(p).defined());
    }
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

INSTANTIATE_TEST_SUITE_P(Layouts, GradientReducerTest, layouts(), layout_name);

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

}  // namespace
}  // namespace diffprob::dist

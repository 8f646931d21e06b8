// What 16-bit communication does to gradients.
#include "tests/dist/reducer/small_net.h"

namespace diffprob::dist {
namespace {

using SixteenBitReducerTest = LayoutsTest;

/// What travels as bfloat16 or float16: each rank's gradient rounded, added in float32, rounded.
TEST_P(SixteenBitReducerTest, SixteenBitCommunicationEqualsTheSlowRounding) {
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

TEST_P(SixteenBitReducerTest, SixteenBitCommunicationAccumulatesInFloat32) {
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

TEST_P(SixteenBitReducerTest, NotFiniteGradientsSurviveSixteenBits) {
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

INSTANTIATE_TEST_SUITE_P(Layouts, SixteenBitReducerTest, layouts(), layout_name);

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

}  // namespace
}  // namespace diffprob::dist

#include "model/inference/folding.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "model/inference/activation.h"
#include "model/inference/convolution.h"

namespace diffprob::model {
namespace {

at::Generator generator() {
  return at::make_generator<at::CPUGeneratorImpl>(17);
}

ChannelAffine random_affine(std::int64_t channels, at::Generator& random) {
  return {at::rand({channels}, random, at::kDouble) + 0.5,
          at::randn({channels}, random, at::kDouble)};
}

at::Tensor apply(const ChannelAffine& affine, const at::Tensor& x) {
  return x * affine.scale.view({1, -1, 1, 1}) + affine.shift.view({1, -1, 1, 1});
}

/// [.., channels, h, w] channels last
at::Tensor random_pictures(std::int64_t batch, std::int64_t channels, std::int64_t side,
                           at::Generator& random) {
  return at::randn({batch, channels, side, side}, random)
      .contiguous(at::MemoryFormat::ChannelsLast);
}

TEST(Folding, BatchNormBeforeAPaddedConvolutionIsExactAtTheBorderToo) {
  at::Generator random = generator();
  for (const std::int64_t side : {2, 3, 5}) {
    const at::Tensor x = at::randn({2, 3, side, side}, random, at::kDouble),
                     weight = at::randn({4, 3, 3, 3}, random, at::kDouble);
    const ChannelAffine before = random_affine(3, random), after = random_affine(4, random);
    const at::Tensor wanted = apply(after, at::conv2d(apply(before, x), weight, {}, 1, 1));

    const BorderedWeights folded = fold_around(before, weight, after);

    at::Tensor found = at::conv2d(x, folded.weight, {}, 1, 1);
    for (std::int64_t r = 0; r < side; ++r) {
      for (std::int64_t c = 0; c < side; ++c) {
        const auto place = [side](std::int64_t i) { return i == 0 ? 0 : i == side - 1 ? 2 : 1; };
        found.select(3, c).select(2, r).add_(folded.bias[place(r)][place(c)]);
      }
    }
    EXPECT_LT((found - wanted).abs().max().item<double>(), 1e-12) << "side " << side;
  }
}

TEST(Folding, BatchNormWithoutWeights) {
  struct Statistics : torch::nn::Module {
    Statistics() {
      register_buffer("running_mean", at::full({1}, 3.0));
      register_buffer("running_var", at::full({1}, 4.0));
    }
  };
  struct Network : torch::nn::Module {
    Network() { register_module("bn", std::make_shared<Statistics>()); }
  };
  const Network network;
  const NamedWeights weights(network);

  const ChannelAffine affine = evaluated_batch_norm(weights, "bn");

  EXPECT_NEAR(affine.scale.item<double>(), 0.5, 1e-6);
  EXPECT_NEAR(affine.shift.item<double>(), -1.5, 1e-5);
  EXPECT_THROW((void)weights.at("bn.weight"), c10::Error);
}

TEST(Folding, BorderedPreluIsBiasThenPrelu) {
  at::Generator random = generator();
  for (const std::int64_t channels : {1, 5, 16, 37}) {
    for (const std::int64_t side : {2, 3, 7}) {
      const BorderedWeights folded{{}, at::randn({3, 3, channels}, random, at::kDouble)};
      const at::Tensor slope = at::rand({channels}, random);
      const at::Tensor x = random_pictures(3, channels, side, random);
      at::Tensor found = x.clone();

      BorderedPrelu(folded, slope, side, at::kFloat).apply(found);

      for (std::int64_t r = 0; r < side; ++r) {
        for (std::int64_t c = 0; c < side; ++c) {
          const at::Tensor bias =
              folded.bias[r == 0          ? 0
                          : r == side - 1 ? 2
                                          : 1][c == 0          ? 0
                                               : c == side - 1 ? 2
                                                               : 1]
                  .to(at::kFloat);
          const at::Tensor wanted = at::prelu(x.select(3, c).select(2, r) + bias, slope);
          ASSERT_TRUE(at::equal(found.select(3, c).select(2, r), wanted))
              << channels << " channels, pixel " << r << ", " << c;
        }
      }
    }
  }
}

TEST(Folding, PassesOverChannelsLastPictures) {
  at::Generator random = generator();
  for (const std::int64_t channels : {1, 5, 16, 37}) {
    const at::Tensor slope = at::rand({channels}, random),
                     x = random_pictures(3, channels, 7, random);
    at::Tensor activated = x.clone(), sum = random_pictures(3, channels, 7, random);
    const at::Tensor scale = at::rand({3, channels, 1, 1}, random), before = sum.clone();

    InferencePrelu(slope, channels, at::kFloat).apply(activated);
    add_scaled(sum, x, scale);

    EXPECT_TRUE(at::equal(activated, at::prelu(x, slope)));
    EXPECT_TRUE(at::allclose(sum, before + x * scale, 1e-6, 1e-6));
    EXPECT_TRUE(at::allclose(channel_means(x), x.mean({2, 3}, true), 1e-5, 1e-6));
  }
}

TEST(Folding, ConvolutionsEqualThoseOfLibTorch) {
  at::Generator random = generator();
  struct Case {
    std::int64_t in, out, kernel, side;
    ConvolutionPlace place;
  };
  for (const Case& c : {Case{3, 16, 3, 13, {13, 2, 1, 1}},
                        {16, 24, 1, 8, {8, 2, 0, 1}},
                        {32, 32, 3, 9, {9, 1, 1, 32}},
                        {16, 16, 3, 8, {8, 1, 1, 1}}}) {
    const at::Tensor weight = at::randn({c.out, c.in / c.place.groups, c.kernel, c.kernel}, random),
                     bias = at::randn({c.out}, random);
    const InferenceConvolution convolution(weight, bias, c.place, at::kFloat);
    for (const std::int64_t batch : {1, 3, 17}) {
      const at::Tensor x = random_pictures(batch, c.in, c.side, random);
      const at::Tensor wanted =
          at::conv2d(x, weight, bias, c.place.stride, c.place.padding, 1, c.place.groups);
      at::Tensor sum = at::ones_like(wanted).contiguous(at::MemoryFormat::ChannelsLast);

      const at::Tensor found = convolution(x);
      convolution.add_to(sum, x);

      EXPECT_TRUE(found.is_contiguous(at::MemoryFormat::ChannelsLast));
      EXPECT_TRUE(at::allclose(found, wanted, 1e-4, 1e-4))
          << batch << " pictures of " << c.in << " channels";
      EXPECT_TRUE(at::allclose(sum, wanted + 1, 1e-4, 1e-4))
          << batch << " pictures of " << c.in << " channels";
    }
  }
}

}  // namespace
}  // namespace diffprob::model

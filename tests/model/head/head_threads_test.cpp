// The arithmetic of the GPU's head kernels, element by element on the host, against LibTorch's
// operators in float64 and the host's loops.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <bit>
#include <limits>

#include "model/softmax/kernels.h"
#include "model/softmax/keyed_hash.h"
#include "model/softmax/threads.h"

namespace diffprob::model {
namespace {

using gpu::thread::Side;

TEST(HeadThreads, CosinesAreClampedAndKeepNotANumber) {
  EXPECT_EQ(gpu::thread::cosine_of_product(0.5f, 1.5f), 0.75f);
  EXPECT_EQ(gpu::thread::cosine_of_product(3.0f, 0.5f), 1.0f);
  EXPECT_EQ(gpu::thread::cosine_of_product(-3.0f, 0.5f), -1.0f);
  EXPECT_EQ(gpu::thread::cosine_of_product(3.0f, 0.0f), 0.0f);
  EXPECT_TRUE(
      std::isnan(gpu::thread::cosine_of_product(std::numeric_limits<float>::quiet_NaN(), 1.0f)));
}

TEST(HeadThreads, OwnCosinesAreInTheirRangeAndShortCentresHaveNone) {
  EXPECT_DOUBLE_EQ(gpu::thread::target_cosine(3, 4, 9), 0.5);
  EXPECT_EQ(gpu::thread::target_cosine(6.1, 4, 9), 1.0);
  EXPECT_EQ(gpu::thread::target_cosine(-6.1, 4, 9), -1.0);
  EXPECT_EQ(gpu::thread::target_cosine(0, 0, 1), 0.0);
  EXPECT_TRUE(std::isnan(gpu::thread::target_cosine(std::nan(""), 1, 1)));
  EXPECT_EQ(gpu::thread::inverse_length(4), 0.5f);
  EXPECT_EQ(gpu::thread::inverse_length(0), 0.0f);
  EXPECT_EQ(gpu::thread::inverse_length(1e-25), 0.0f);  // shorter than 1e-12, as everywhere
}

TEST(HeadThreads, SidesOfTheOwnClass) {
  EXPECT_EQ(gpu::thread::side_of(3, 5, true), Side::kBelow);
  EXPECT_EQ(gpu::thread::side_of(5, 5, true), Side::kTarget);
  EXPECT_EQ(gpu::thread::side_of(6, 5, true), Side::kAbove);
  EXPECT_EQ(gpu::thread::side_of(5, 5, false),
            Side::kAbove);  // on another rank: position 5 is the first class above
  EXPECT_EQ(gpu::thread::side_of(0, -7, true),
            Side::kAbove);  // the own class lies in an earlier chunk
}

TEST(HeadThreads, MaximaAndSumsAreThoseOfASoftmax) {
  constexpr std::int64_t kClasses = 300, kRows = 40;
  constexpr float kScale = 64;
  const at::Tensor products = at::randn({kClasses, kRows}) * 0.3;
  const at::Tensor inverse = at::rand({kClasses}) + 0.5;
  const at::Tensor own = at::randint(0, kClasses, {kRows}, at::kLong);
  const at::Tensor cosines = (products * inverse.unsqueeze(1)).clamp(-1, 1).to(at::kDouble);
  for (std::int64_t b = 0; b < kRows; ++b) {
    const auto mine = own[b].item<std::int64_t>();
    float below = -INFINITY, above = -INFINITY;
    for (std::int64_t c = 0; c < kClasses; ++c) {
      const float cosine =
          gpu::thread::cosine_of_product(products[c][b].item<float>(), inverse[c].item<float>());
      const Side side = gpu::thread::side_of(c, mine, true);
      if (side == Side::kBelow) below = std::max(below, cosine);
      if (side == Side::kAbove) above = std::max(above, cosine);
    }
    const at::Tensor column = cosines.select(1, b);
    if (mine > 0) {
      EXPECT_NEAR(below, column.narrow(0, 0, mine).max().item<double>(), 1e-6);
    }
    if (mine + 1 < kClasses) {
      EXPECT_NEAR(above, column.narrow(0, mine + 1, kClasses - mine - 1).max().item<double>(),
                  1e-6);
    }
    const float reference = std::max(below, above);
    double sum = 0;
    for (std::int64_t c = 0; c < kClasses; ++c) {
      if (c == mine) continue;
      sum += gpu::thread::exponential_of_cosine(
          gpu::thread::cosine_of_product(products[c][b].item<float>(), inverse[c].item<float>()),
          kScale, reference);
    }
    const at::Tensor others = column.scatter(0, own[b].unsqueeze(0), -1e300);
    const double wanted =
        ((others - static_cast<double>(reference)) * kScale).exp().sum().item<double>();
    EXPECT_NEAR(sum, wanted, 1e-5 * wanted);
  }
}

/// Projection and SGD together against both one after the other, as the host does it.
TEST(HeadThreads, UpdateOfARow) {
  constexpr std::int64_t kDim = 96;
  for (const bool nesterov : {false, true}) {
    const at::Tensor weight = at::randn({1, kDim}), velocity = at::randn({1, kDim}),
                     gradient = at::randn({1, kDim});
    const at::Tensor inverse = weight.norm(2, 1).reciprocal();
    at::Tensor w = weight.clone(), v = velocity.clone(), g = gradient.clone();
    host::project(g.data_ptr<float>(), w.data_ptr<float>(), inverse.data_ptr<float>(), 1, kDim);
    host::sgd(w.data_ptr<float>(), v.data_ptr<float>(), g.data_ptr<float>(), kDim,
              {0.05f, 0.9f, 5e-4f, nesterov});

    const float length = inverse.item<float>();
    const float along = (gradient * weight).sum().item<float>() * length * length;
    for (std::int64_t d = 0; d < kDim; ++d) {
      const auto found = gpu::thread::head_sgd(
          {weight[0][d].item<float>(), velocity[0][d].item<float>()}, gradient[0][d].item<float>(),
          along, {0.05f, 0.9f, 5e-4f, nesterov});
      EXPECT_NEAR(found.weight, w[0][d].item<float>(), 1e-6);
      EXPECT_NEAR(found.velocity, v[0][d].item<float>(), 1e-6);
    }
  }
}

TEST(HeadThreads, RoundsToTheBfloat16OfTheHost) {
  constexpr std::int64_t kRows = 20, kDim = 33;
  constexpr std::uint64_t kKey = 99;
  at::Tensor values = at::randn({kRows, kDim});
  values[3][5] = INFINITY;
  values[4][6] = NAN;
  const at::Tensor ids = at::arange(1000, 1000 + kRows);
  std::vector<std::uint16_t> wanted(kRows * kDim);
  host::round_stochastically(values.const_data_ptr<float>(), ids.const_data_ptr<std::int64_t>(),
                             kRows, kDim, kKey, wanted.data());
  for (std::int64_t i = 0; i < kRows; ++i) {
    const std::uint64_t base =
        static_cast<std::uint64_t>((1000 + i) * kDim) + data::splitmix64(kKey);
    for (std::int64_t d = 0; d < kDim; ++d) {
      EXPECT_EQ(gpu::thread::stochastic_bfloat16(values[i][d].item<float>(), base, d),
                wanted[static_cast<std::size_t>(i * kDim + d)]);
    }
  }
}

/// A key that lies on the device, as the optimiser's own: weights and momenta have different ones.
TEST(HeadThreads, RoundingWordsAreThoseOfTheHost) {
  constexpr std::uint64_t kSeed = 5, kStep = 1234567;
  const std::uint64_t key = data::combine_key(kSeed, kStep);
  const at::Tensor on_device = combine_key(kSeed, at::full({1}, static_cast<long>(kStep)));
  EXPECT_EQ(static_cast<std::uint64_t>(on_device.item<std::int64_t>()), key);
  EXPECT_EQ(gpu::thread::rounding_word(key, gpu::HeadRounding::kWeight),
            data::splitmix64(data::combine_key(key, 0)));
  EXPECT_EQ(gpu::thread::rounding_word(key, gpu::HeadRounding::kMomentum),
            data::splitmix64(data::combine_key(key, 1)));
}

}  // namespace
}  // namespace diffprob::model

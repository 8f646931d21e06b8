// What training draws for vision transformers: shares, independence of the split of a batch.
#include "model/transformer/draws.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace diffprob::model {
namespace {

constexpr std::int64_t kPatches = 144;
constexpr std::int64_t kMasked = 15;

/// 1 where a patch stays, [rows, patches] float64, of the list of places.
at::Tensor stays(const at::Tensor& kept, std::int64_t patches) {
  return at::zeros({kept.size(0), patches}, at::kDouble).scatter(1, kept, 1.0);
}

TEST(KeptPatches, AreSortedDifferentPlacesOfTheNumberAskedFor) {
  for (const std::int64_t masked : {std::int64_t{0}, std::int64_t{1}, kMasked, kPatches - 1}) {
    const at::Tensor kept = draw_kept_patches(20, kPatches, masked, {.key = 3});

    ASSERT_EQ(kept.sizes(), at::IntArrayRef({20, kPatches - masked}));
    EXPECT_GE(kept.min().item<std::int64_t>(), 0);
    EXPECT_LT(kept.max().item<std::int64_t>(), kPatches);
    EXPECT_TRUE((kept.diff(1, 1) > 0).all().item<bool>()) << masked;
  }
  EXPECT_THROW((void)draw_kept_patches(1, kPatches, kPatches, {}), c10::Error);
}

TEST(KeptPatches, EveryPlaceStaysEquallyOftenAndPairsAreIndependent) {
  constexpr std::int64_t kRows = 20000;
  const at::Tensor one = stays(draw_kept_patches(kRows, kPatches, kMasked, {.key = 9}), kPatches);

  constexpr double kShare = 1 - static_cast<double>(kMasked) / kPatches;
  const double deviation = std::sqrt(kShare * (1 - kShare) / kRows);
  EXPECT_LT((one.mean(0) - kShare).abs().max().item<double>(), 5 * deviation);
  // Both of two neighbours: drawn without putting back.
  const double both = kShare * (kPatches - kMasked - 1.0) / (kPatches - 1.0);
  const at::Tensor pairs = (one.slice(1, 1) * one.slice(1, 0, kPatches - 1)).mean(0);
  EXPECT_LT((pairs - both).abs().max().item<double>(), 5 * std::sqrt(both * (1 - both) / kRows));
}

TEST(BranchFactors, DropsGrowWithTheDepthAndTheMeanIsOne) {
  constexpr std::int64_t kRows = 20000, kDepth = 5;
  constexpr double kRate = 0.4;

  const at::Tensor factors = draw_branch_factors(kRows, kDepth, kRate, {.key = 4});

  ASSERT_EQ(factors.sizes(), at::IntArrayRef({kDepth, 2, kRows}));
  for (std::int64_t block = 0; block < kDepth; ++block) {
    const double p = kRate * static_cast<double>(block) / (kDepth - 1);
    const double slack = 5 * std::sqrt(p * (1 - p) / kRows);
    const at::Tensor dropped = (factors[block] == 0).to(at::kDouble);
    const at::Tensor kept = factors[block].masked_select(factors[block] > 0);
    EXPECT_LE((dropped.mean(1) - p).abs().max().item<double>(), slack) << block;
    EXPECT_TRUE(at::equal(kept, at::full_like(kept, static_cast<float>(1 / (1 - p))))) << block;
    EXPECT_NEAR(factors[block].mean().item<double>(), 1, slack / (1 - p) + 1e-6) << block;
    // The two branches of a block are drawn apart.
    EXPECT_NEAR((dropped[0] * dropped[1]).mean().item<double>(), p * p, 0.01) << block;
  }
  EXPECT_THROW((void)draw_branch_factors(1, 2, 1.0, {}), c10::Error);
}

TEST(ImagesTakingPart, AreThoseWithAFactor) {
  const at::Tensor factors =
      at::tensor({1.f, 1.f, 1.f, 0.f, 2.f, 2.f, 0.f, 0.f, 0.f, 4.f, 4.f, 4.f}).view({2, 2, 3});

  const std::vector<BlockImages> blocks = images_taking_part(factors, at::kCPU);

  const auto ids = [](std::vector<std::int64_t> values) { return at::tensor(values, at::kLong); };
  EXPECT_FALSE(blocks[0].attention.images.defined());
  EXPECT_TRUE(at::equal(blocks[0].perceptron.images, ids({1, 2})));
  EXPECT_EQ(blocks[0].perceptron.factor, 2);
  EXPECT_TRUE(at::equal(blocks[1].attention.images, ids({0})));  // all drop it
  EXPECT_EQ(blocks[1].attention.factor, 0);
  EXPECT_TRUE(at::equal(blocks[1].perceptron.images, ids({0, 1, 2})));
  EXPECT_EQ(blocks[1].perceptron.factor, 4);
}

TEST(BranchFactors, ASingleBlockIsNeverDropped) {
  EXPECT_TRUE(at::equal(draw_branch_factors(50, 1, 0.9, {.key = 4}), at::ones({1, 2, 50})));
}

TEST(Draws, DoNotDependOnHowTheBatchIsSplit) {
  constexpr std::int64_t kRows = 11, kFirst = 40;
  const auto of = [](std::int64_t first, std::int64_t rows, std::uint64_t key) {
    const StepContext context{.key = key, .first_row = first};
    return std::pair(draw_kept_patches(rows, kPatches, kMasked, context),
                     draw_branch_factors(rows, 6, 0.5, context));
  };
  const auto whole = of(kFirst, kRows, 77);
  for (const std::int64_t ranks : {2, 4}) {
    std::vector<at::Tensor> kept, factors;
    for (std::int64_t rank = 0; rank < ranks; ++rank) {
      const std::int64_t begin = kRows * rank / ranks, end = kRows * (rank + 1) / ranks;
      const auto part = of(kFirst + begin, end - begin, 77);
      kept.push_back(part.first);
      factors.push_back(part.second);
    }
    EXPECT_TRUE(at::equal(whole.first, at::cat(kept))) << ranks;
    EXPECT_TRUE(at::equal(whole.second, at::cat(factors, 2))) << ranks;
  }
  const auto other_key = of(kFirst, kRows, 78), other_row = of(kFirst + 1, kRows, 77);
  for (const auto& other : {other_key, other_row}) {
    EXPECT_FALSE(at::equal(whole.first, other.first));
    EXPECT_FALSE(at::equal(whole.second, other.second));
  }
}

}  // namespace
}  // namespace diffprob::model

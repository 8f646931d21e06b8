#include <cmath>

#include <gtest/gtest.h>
#include <torch/types.h>

#include "eval/embed/embedder.h"
#include "tests/support/golden.h"

namespace diffprob::eval {
namespace {

/// Embeddings of a golden group by its recipe, not yet normalised. [2P, dim] float64
at::Tensor golden_embeddings(const tests::Golden& golden, const std::string& group,
                             const std::vector<std::int64_t>& same) {
  const auto pairs = static_cast<std::int64_t>(same.size());
  const auto dim = static_cast<std::int64_t>(golden.number(group, "dim"));
  const auto seed = static_cast<std::uint64_t>(golden.number(group, "seed"));
  const double noise = golden.number(group, "noise");
  const auto h = [&](std::uint64_t stream, std::int64_t i) {
    return 2 * tests::hash_uniform(seed, stream, static_cast<std::uint64_t>(i)) - 1;
  };
  auto embeddings = at::empty({2 * pairs, dim}, at::kDouble);
  auto rows = embeddings.accessor<double, 2>();
  for (std::int64_t i = 0; i < pairs; ++i) {
    for (std::int64_t j = 0; j < dim; ++j) {
      const std::int64_t at = i * dim + j;
      rows[2 * i][j] = h(1, at) + noise * h(3, at);
      rows[2 * i + 1][j] = h(same[static_cast<std::size_t>(i)] != 0 ? 1 : 2, at) + noise * h(4, at);
    }
  }
  return embeddings;
}

TEST(PairDistances, Golden) {
  const tests::Golden golden("verification.h5");
  const auto groups = golden.names("/");
  ASSERT_FALSE(groups.empty());
  for (const auto& group : groups) {
    const auto want = golden.doubles(group + "/distance");
    const auto embeddings = golden_embeddings(golden, group, golden.integers(group + "/issame"));
    const auto first_rows = golden.doubles(group + "/embedding_first_rows");
    for (std::size_t i = 0; i < first_rows.size(); ++i)
      ASSERT_NEAR(embeddings.data_ptr<double>()[i], first_rows[i], 1e-12) << group << " " << i;

    const auto got = pair_distances(embeddings);

    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], want[i], 1e-12) << group << " pair " << i;
  }
}

TEST(PairDistances, NormalisesRowsInFloat64) {
  // Norms of very different size; pair 1 is antipodal (distance 4), pair 2 the same direction (0),
  // pair 3 has a row of zeros.
  const auto embeddings = torch::tensor({{3.0F, 4.0F},
                                         {0.0F, 1e-20F},
                                         {1e18F, 0.0F},
                                         {-1.0F, 0.0F},
                                         {1.0F, 1.0F},
                                         {7.0F, 7.0F},
                                         {0.0F, 0.0F},
                                         {5.0F, 0.0F}});

  const auto got = pair_distances(embeddings);

  ASSERT_EQ(got.size(), 4U);
  EXPECT_NEAR(got[0], 0.6 * 0.6 + 0.2 * 0.2, 1e-15);
  EXPECT_NEAR(got[1], 4, 1e-15);
  EXPECT_NEAR(got[2], 0, 1e-15);
  EXPECT_NEAR(got[3], 1, 1e-15);
}

TEST(PairDistances, RefusesHalfAPair) {
  EXPECT_THROW((void)pair_distances(torch::zeros({3, 4})), c10::Error);
  EXPECT_THROW((void)pair_distances(torch::zeros({4})), c10::Error);
  EXPECT_TRUE(pair_distances(torch::zeros({0, 4})).empty());
}

}  // namespace
}  // namespace diffprob::eval

#include "eval/neighbours/row_products.h"

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "eval/neighbours/block_matches.h"

namespace diffprob::eval {
namespace {

std::vector<float> random_rows(std::int64_t rows, std::int64_t dim, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  const std::int64_t stride = row_stride(dim);
  std::vector<float> values(static_cast<std::size_t>(rows * stride), 0);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t i = 0; i < dim; ++i)
      values[static_cast<std::size_t>(r * stride + i)] = normal(random);
  return values;
}

double slow_product(const float* a, const float* b, std::int64_t stride) {
  double sum = 0;
  for (std::int64_t i = 0; i < stride; ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

TEST(RowProducts, AreThoseOfFloat64AndKeepTheirBitsInAnyBlockAndOrder) {
  for (const std::int64_t dim : {1, 15, 16, 17, 100, 512}) {
    const std::int64_t stride = row_stride(dim);
    const std::int64_t rows = 11, columns = 15;
    const auto a = random_rows(rows, dim, 1), b = random_rows(columns, dim, 2);
    std::vector<float> all(static_cast<std::size_t>(rows * columns));
    std::vector<float> turned(all.size());
    row_products(a.data(), rows, b.data(), columns, stride, all.data());
    row_products(b.data(), columns, a.data(), rows, stride, turned.data());
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c) {
        const float* const left = a.data() + r * stride;
        const float* const right = b.data() + c * stride;
        const float product = all[static_cast<std::size_t>(r * columns + c)];
        EXPECT_NEAR(product, slow_product(left, right, stride),
                    1e-5 * std::sqrt(static_cast<double>(dim)));
        EXPECT_EQ(product, turned[static_cast<std::size_t>(c * rows + r)]);
        float single = 0;
        row_products(left, 1, right, 1, stride, &single);
        EXPECT_EQ(product, single);
      }
  }
}

TEST(RowProducts, UnitRowsHaveLengthOneAndZerosStayZeros) {
  for (const std::int64_t dim : {1, 7, 16, 33, 512}) {
    const std::int64_t stride = row_stride(dim);
    const auto row = random_rows(1, dim, 3);
    std::vector<float> unit(static_cast<std::size_t>(stride), 9);
    EXPECT_TRUE(make_unit(row.data(), dim, stride, unit.data()));
    EXPECT_NEAR(slow_product(unit.data(), unit.data(), stride), 1, 1e-6);
    EXPECT_GT(slow_product(unit.data(), row.data(), stride), 0);
    for (std::int64_t i = dim; i < stride; ++i) EXPECT_EQ(unit[static_cast<std::size_t>(i)], 0);
    const std::vector<float> zeros(static_cast<std::size_t>(dim), 0);
    EXPECT_FALSE(make_unit(zeros.data(), dim, stride, unit.data()));
    for (const float value : unit) EXPECT_EQ(value, 0);
  }
}

TEST(RowProducts, SumsAreThoseOfPlainLoops) {
  constexpr std::int64_t kDim = 40;
  const std::int64_t stride = row_stride(kDim);
  const auto rows = random_rows(3, kDim, 4);
  std::vector<double> sum(static_cast<std::size_t>(stride), 0), slow(sum);
  for (std::int64_t r = 0; r < 3; ++r) {
    add_row(rows.data() + r * stride, stride, sum.data());
    for (std::int64_t i = 0; i < stride; ++i)
      slow[static_cast<std::size_t>(i)] += double{rows[static_cast<std::size_t>(r * stride + i)]};
  }
  EXPECT_EQ(sum, slow);
  double product = 0;
  for (std::size_t i = 0; i < sum.size(); ++i) product += double{rows[i]} * sum[i];
  EXPECT_NEAR(product_with_sum(rows.data(), sum.data(), stride), product, 1e-9);
}

TEST(BlockMatches, AreThePairsOfPlainLoopsForAnyNumberOfThreads) {
  constexpr std::int64_t kDim = 4;
  const std::int64_t stride = row_stride(kDim);
  for (const auto& [rows, columns] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {5, 700}, {300, 210}, {193, 97}}) {
    const auto a = random_rows(rows, kDim, 5), b = random_rows(columns, kDim, 6);
    for (const BlockPairs which : {BlockPairs::kAll, BlockPairs::kAscending}) {
      const bool ascending = which == BlockPairs::kAscending;
      const RowBlock left = {a.data(), rows, stride};
      const RowBlock right = ascending ? left : RowBlock{b.data(), columns, stride};
      std::size_t expected = 0;
      for (std::int64_t r = 0; r < left.rows; ++r)
        for (std::int64_t c = ascending ? r + 1 : 0; c < right.rows; ++c) {
          float product = 0;
          row_products(left.values + r * stride, 1, right.values + c * stride, 1, stride, &product);
          expected += product >= 2 ? 1 : 0;
        }
      for (const int threads : {1, 3}) {
        std::vector<BlockMatch> matches;
        find_matches(left, right, which, 2, threads, matches);
        EXPECT_EQ(matches.size(), expected) << rows << ' ' << columns << ' ' << ascending;
        for (const BlockMatch& match : matches) {
          EXPECT_TRUE(!ascending || match.a < match.b);
          EXPECT_NEAR(
              match.cosine,
              slow_product(left.values + match.a * stride, right.values + match.b * stride, stride),
              1e-4);
        }
      }
    }
  }
}

}  // namespace
}  // namespace diffprob::eval

// Agreement of groups and two clusters, against slow versions and planted groups.
#include "prune/proposals/two_clusters.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "prune/proposals/agreement.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

constexpr std::size_t kDim = 8;
using Row = std::vector<float>;

/// Unit vectors about a direction; `scatter` is of each coordinate.
Row draw_about(std::size_t axis, double scatter, Draws& draws) {
  Row row(kDim);
  double squares = 0;
  for (std::size_t d = 0; d < kDim; ++d) {
    const double value = (d == axis ? 1 : 0) + scatter * (2 * draws.uniform() - 1);
    row[d] = static_cast<float>(value);
    squares += value * value;
  }
  for (float& value : row) value = static_cast<float>(value / std::sqrt(squares));
  return row;
}

DirectionSum sum_of(const std::vector<Row>& rows) {
  DirectionSum sum(kDim);
  for (const Row& row : rows) sum.add(row);
  return sum;
}

double cosine(const Row& a, const Row& b) {
  double product = 0;
  for (std::size_t d = 0; d < kDim; ++d)
    product += static_cast<double>(a[d]) * static_cast<double>(b[d]);
  return product;
}

TEST(Agreement, IsThatOfAllPairs) {
  Draws draws(1);
  std::vector<Row> a, b;
  for (int i = 0; i < 7; ++i) a.push_back(draw_about(0, 0.8, draws));
  for (int i = 0; i < 4; ++i) b.push_back(draw_about(1, 0.8, draws));
  const auto mean_of_pairs = [](const std::vector<Row>& x, const std::vector<Row>& y, bool same) {
    double sum = 0, pairs = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t j = 0; j < y.size(); ++j)
        if (!same || i != j) sum += cosine(x[i], y[j]), pairs += 1;
    return sum / pairs;
  };

  EXPECT_NEAR(mean_cosine(sum_of(a)), mean_of_pairs(a, a, true), 1e-6);
  EXPECT_NEAR(mean_cosine(sum_of(a), sum_of(b)), mean_of_pairs(a, b, false), 1e-6);
  EXPECT_NEAR(
      agreement(sum_of(a), sum_of(b)),
      mean_of_pairs(a, b, false) / std::sqrt(mean_of_pairs(a, a, true) * mean_of_pairs(b, b, true)),
      1e-6);
}

TEST(Agreement, PartsOfOnePersonAgreeWhateverTheirSizes) {
  Draws draws(2);
  for (const int size : {3, 10, 100}) {
    double sum = 0;
    for (int trial = 0; trial < 200; ++trial) {
      std::vector<Row> a, b;
      for (int i = 0; i < size; ++i) a.push_back(draw_about(0, 0.5, draws));
      for (int i = 0; i < 5; ++i) b.push_back(draw_about(0, 0.5, draws));
      sum += agreement(sum_of(a), sum_of(b)) / 200;
    }
    EXPECT_NEAR(sum, 1, 0.04) << size;
  }
}

TEST(Agreement, OneSampleSaysNothing) {
  Draws draws(3);
  const std::vector<Row> one = {draw_about(0, 0.5, draws)};
  EXPECT_TRUE(std::isnan(mean_cosine(sum_of(one))));
  EXPECT_TRUE(std::isnan(agreement(sum_of(one), sum_of({one[0], one[0]}))));
}

std::vector<float> flat(const std::vector<Row>& rows) {
  std::vector<float> all;
  for (const Row& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

TEST(TwoClusters, FindsPlantedGroups) {
  Draws draws(4);
  std::vector<Row> rows;
  std::vector<bool> planted;
  for (int i = 0; i < 20; ++i) {
    planted.push_back(i % 3 == 1);
    rows.push_back(draw_about(planted.back() ? 2 : 5, 0.4, draws));
  }

  const TwoClusters found = two_clusters(flat(rows), kDim);

  EXPECT_EQ(found.in_smaller, planted);
  EXPECT_EQ(found.smaller, 7);
  EXPECT_LT(found.agreement, 0.3);
}

TEST(TwoClusters, OnePersonHasGroupsThatAgree) {
  Draws draws(5);
  std::vector<Row> rows;
  for (int i = 0; i < 40; ++i) rows.push_back(draw_about(0, 0.3, draws));

  EXPECT_GT(two_clusters(flat(rows), kDim).agreement, 0.8);
}

TEST(TwoClusters, EqualRowsAndTooFewHaveNoGroups) {
  Draws draws(6);
  const Row row = draw_about(0, 0.3, draws);
  EXPECT_EQ(two_clusters(row, kDim).smaller, 0);
  EXPECT_EQ(two_clusters(flat({row, row, row}), kDim).smaller, 0);
  EXPECT_EQ(two_clusters({}, kDim).smaller, 0);
}

}  // namespace
}  // namespace diffprob::prune::tests

// Cleaning rules against obvious ones, and the budgets of CCS.
#include "prune/cleaning/rules.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/select/ccs.h"
#include "prune/select/ranked.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

TEST(Cleaning, MarksMispredictedAndLeavesOthersAlone) {
  std::vector<Reason> reasons = {Reason::kKept, Reason::kKept, Reason::kDuplicate,
                                 Reason::kKeptByFloor};
  const std::vector<std::int32_t> labels = {0, 1, 1, 1};
  const std::vector<std::int32_t> top1 = {0, 2, 9, 1};

  clean({labels, top1, {}, {}}, {}, ClassThresholds(0), reasons);

  EXPECT_EQ(reasons, (std::vector<Reason>{Reason::kKept, Reason::kMislabelled, Reason::kDuplicate,
                                          Reason::kKeptByFloor}));
  EXPECT_THROW(clean({labels, std::span(top1).first(1), {}, {}}, {}, ClassThresholds(0), reasons),
               PruneError);
  EXPECT_THROW(
      clean({labels, top1, {}, {}}, {CleanRule::kMispredicted, 0.5}, ClassThresholds(0), reasons),
      PruneError);
}

TEST(Cleaning, MarginAsksForConfidence) {
  const std::vector<std::int32_t> labels(4, 0);
  const std::vector<std::int32_t> top1 = {1, 1, 1, 0};
  const std::vector<float> first = {-0.25F, -0.25F, -0.25F, -0.25F};
  const std::vector<float> own = {-0.75F, -0.76F, -std::numeric_limits<float>::infinity(), -0.25F};
  std::vector<Reason> reasons(4, Reason::kKept);

  clean({labels, top1, first, own}, {CleanRule::kMispredicted, 0.5}, ClassThresholds(0), reasons);

  EXPECT_EQ(reasons, (std::vector<Reason>{Reason::kKept, Reason::kMislabelled, Reason::kMislabelled,
                                          Reason::kKept}))
      << "more than the margin, not as much";
}

TEST(Cleaning, ConfidentIsTheOffDiagonalOfTheConfidentJoint) {
  // The whole matrix of probabilities of 5 classes; class 4 has no samples.
  constexpr int kClasses = 5;
  Draws draws(4);
  dist::HostCollectives collectives;
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<std::int32_t> labels;
    std::vector<std::int32_t> top1;
    std::vector<float> first;
    std::vector<float> own;
    std::vector<std::vector<double>> p;
    for (int i = 0; i < 60; ++i) {
      std::vector<double> row;
      double sum = 0;
      for (int k = 0; k < kClasses; ++k)
        sum += row.emplace_back(std::pow(draws.uniform(), 4) + 1e-6);
      for (double& value : row) value /= sum;
      labels.push_back(static_cast<std::int32_t>(draws.below(kClasses - 1)));
      const auto most = std::max_element(row.begin(), row.end()) - row.begin();
      top1.push_back(static_cast<std::int32_t>(most));
      first.push_back(static_cast<float>(std::log(row[static_cast<std::size_t>(most)])));
      own.push_back(static_cast<float>(std::log(row[static_cast<std::size_t>(labels.back())])));
      p.push_back(row);
    }
    std::vector<double> sums(kClasses, 0);
    std::vector<double> counts(kClasses, 0);
    for (std::size_t i = 0; i < p.size(); ++i) {
      sums[static_cast<std::size_t>(labels[i])] += p[i][static_cast<std::size_t>(labels[i])];
      counts[static_cast<std::size_t>(labels[i])] += 1;
    }
    ClassThresholds thresholds(kClasses);
    thresholds.add(labels, own);
    thresholds.finish(collectives);
    std::vector<Reason> reasons(labels.size(), Reason::kKept);

    clean({labels, top1, first, own}, {CleanRule::kConfident, 0}, thresholds, reasons);

    for (std::size_t i = 0; i < p.size(); ++i) {
      const auto most = static_cast<std::size_t>(top1[i]);
      const bool issue =
          top1[i] != labels[i] && counts[most] > 0 && p[i][most] >= sums[most] / counts[most];
      EXPECT_EQ(reasons[i] == Reason::kMislabelled, issue) << i;
    }
  }
}

TEST(Ccs, SmallStrataGoWholeAndTheRestIsShared) {
  EXPECT_EQ(ccs_budgets(std::vector<std::int64_t>{100, 3, 0, 50}, 60),
            (std::vector<std::int64_t>{29, 3, 0, 28}));
  EXPECT_EQ(ccs_budgets(std::vector<std::int64_t>{10, 10, 10}, 29),
            (std::vector<std::int64_t>{9, 10, 10}));
  EXPECT_EQ(ccs_budgets(std::vector<std::int64_t>{1, 2, 3}, 100),
            (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_EQ(ccs_budgets(std::vector<std::int64_t>{5, 5}, 0), (std::vector<std::int64_t>{0, 0}));
}

TEST(El2n, IsTheDistanceToTheOneHotLabel) {
  const std::vector<double> p = {0.7, 0.2, 0.1};
  const double wanted = std::sqrt(0.7 * 0.7 + 0.8 * 0.8 + 0.1 * 0.1);  // label 1

  EXPECT_NEAR(el2n(static_cast<float>(0.49 + 0.04 + 0.01), static_cast<float>(-std::log(0.2))),
              wanted, 1e-6);
  EXPECT_EQ(el2n(1.0F, 0.0F), 0.0);
  EXPECT_EQ(el2n(0.9999999F, 0.0F), 0.0) << "rounding below 0 is 0";
  EXPECT_NEAR(el2n(1.0F, std::numeric_limits<float>::infinity()), std::sqrt(2.0), 1e-12);
}

}  // namespace
}  // namespace diffprob::prune::tests

#include "eval/metrics/verification.h"

#include <cmath>
#include <limits>
#include <random>

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "tests/eval/metrics/slow_verification.h"
#include "tests/support/golden.h"

namespace diffprob::eval {
namespace {

struct Case {
  std::vector<double> distances;
  std::vector<bool> same;
};

/// Half of the distances are exact thresholds of one of the two grids, computed as the protocol
/// computes them.
Case random_case(std::uint64_t seed, std::size_t pairs, double same_share) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> unit(0, 1);
  Case c;
  for (std::size_t i = 0; i < pairs; ++i) {
    c.same.push_back(unit(random) < same_share);
    double distance =
        std::min(4.0, (c.same.back() ? 0.2 : 0.9) + 1.4 * unit(random) * unit(random));
    if (unit(random) < 0.3) distance = std::floor(distance / 0.01) * 0.01;
    if (unit(random) < 0.2) distance = std::floor(distance / 0.001) * 0.001;
    if (unit(random) < 0.02) distance = unit(random) < 0.5 ? 0.0 : 4.5;
    c.distances.push_back(distance);
  }
  return c;
}

VerificationResult slow_verify(const Case& c, int folds) {
  const auto fold_of_pair = tests::slow_fold_of_pair(c.distances.size(), folds);
  VerificationResult result;
  result.tpr.assign(400, 0);
  result.fpr.assign(400, 0);
  for (int fold = 0; fold < folds; ++fold) {
    double best_accuracy = -1, best = 0;
    for (int t = 0; t < 400; ++t) {
      const double accuracy =
          tests::slow_rates(c.distances, c.same, fold_of_pair, fold, false, t * 0.01).accuracy;
      if (accuracy > best_accuracy) best_accuracy = accuracy, best = t * 0.01;
      const auto rates = tests::slow_rates(c.distances, c.same, fold_of_pair, fold, true, t * 0.01);
      result.tpr[static_cast<std::size_t>(t)] += rates.tpr / folds;
      result.fpr[static_cast<std::size_t>(t)] += rates.fpr / folds;
    }
    result.fold_threshold.push_back(best);
    result.fold_accuracy.push_back(
        tests::slow_rates(c.distances, c.same, fold_of_pair, fold, true, best).accuracy);
    result.accuracy_mean += result.fold_accuracy.back() / folds;
  }
  const std::vector<int> one_fold(c.distances.size(), 0);
  for (int t = 0; t < 400; ++t) {
    const double accuracy =
        tests::slow_rates(c.distances, c.same, one_fold, 0, true, t * 0.01).accuracy;
    if (accuracy > result.best_accuracy)
      result.best_accuracy = accuracy, result.best_threshold = t * 0.01;
  }
  for (const double a : result.fold_accuracy)
    result.accuracy_std += std::pow(a - result.accuracy_mean, 2) / folds;
  result.accuracy_std = std::sqrt(result.accuracy_std);
  return result;
}

double slow_threshold_at_far(const Case& c, const std::vector<int>& fold_of_pair, int fold,
                             double target) {
  const auto far = [&](int t) {
    return tests::slow_rates(c.distances, c.same, fold_of_pair, fold, false, t * 0.001).fpr;
  };
  int last = -1;
  bool reached = false;
  for (int t = 0; t < 4000; ++t) {
    const double f = far(t);
    if (f <= target) last = t;
    reached = reached || f >= target;
  }
  if (!reached) return 0;
  if (last == 3999) return last * 0.001;
  return last * 0.001 +
         (target - far(last)) * ((last + 1) * 0.001 - last * 0.001) / (far(last + 1) - far(last));
}

ValAtFar slow_val_at_far(const Case& c, double target, int folds) {
  const auto fold_of_pair = tests::slow_fold_of_pair(c.distances.size(), folds);
  std::vector<double> val;
  ValAtFar result;
  for (int fold = 0; fold < folds; ++fold) {
    const double threshold = slow_threshold_at_far(c, fold_of_pair, fold, target);
    const auto rates = tests::slow_rates(c.distances, c.same, fold_of_pair, fold, true, threshold);
    val.push_back(rates.tpr);
    result.val_mean += rates.tpr / folds;
    result.far_mean += rates.fpr / folds;
  }
  for (const double v : val) result.val_std += std::pow(v - result.val_mean, 2) / folds;
  result.val_std = std::sqrt(result.val_std);
  return result;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& want,
                 const char* what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], 1e-12) << what << " " << i;
}

void expect_same_result(const VerificationResult& got, const VerificationResult& want) {
  expect_near(got.fold_accuracy, want.fold_accuracy, "fold accuracy");
  expect_near(got.fold_threshold, want.fold_threshold, "fold threshold");
  expect_near(got.tpr, want.tpr, "tpr");
  expect_near(got.fpr, want.fpr, "fpr");
  EXPECT_NEAR(got.accuracy_mean, want.accuracy_mean, 1e-12);
  EXPECT_NEAR(got.accuracy_std, want.accuracy_std, 1e-12);
}

TEST(Verification, AgreesWithEveryPairAtEveryThreshold) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const int folds = seed % 3 == 0 ? 10 : 2 + static_cast<int>(seed % 5);
    const Case c = random_case(seed, 40 + 17 * seed, seed == 5 ? 0.05 : 0.5);

    const auto got = verify(c.distances, c.same, folds);

    SCOPED_TRACE(seed);
    const auto want = slow_verify(c, folds);
    expect_same_result(got, want);
    EXPECT_EQ(got.best_threshold, want.best_threshold);
    EXPECT_NEAR(got.best_accuracy, want.best_accuracy, 1e-12);
  }
}

TEST(Verification, DistanceEqualToAThresholdIsNotBelowIt) {
  // 29 * 0.01 / 0.01 is below 29 and 57 * 0.01 is above 0.57: only a comparison with index * 0.01
  // itself finds the right bin.
  for (const int index : {1, 29, 57, 58, 115, 399}) {
    const std::vector<double> distances(4, index * 0.01);
    const std::vector<bool> same(4, true);

    const auto result = verify(distances, same, 2);

    EXPECT_EQ(result.tpr[static_cast<std::size_t>(index)], 0) << index;
    if (index < 399) {
      EXPECT_EQ(result.tpr[static_cast<std::size_t>(index) + 1], 1) << index;
      EXPECT_EQ(result.fold_threshold[0], (index + 1) * 0.01) << index;
    }
  }
}

TEST(Verification, ValAtFarAgreesWithEveryPairAtEveryThreshold) {
  for (std::uint64_t seed = 20; seed < 24; ++seed) {
    const Case c = random_case(seed, 90 + 13 * seed, 0.5);
    for (const double target : {0.0, 1e-3, 1e-2, 1e-1, 0.5, 1.0}) {
      SCOPED_TRACE(c10::str("seed ", seed, " target ", target));

      const auto got = val_at_far(c.distances, c.same, target, 5);

      const auto want = slow_val_at_far(c, target, 5);
      EXPECT_NEAR(got.val_mean, want.val_mean, 1e-12);
      EXPECT_NEAR(got.val_std, want.val_std, 1e-12);
      EXPECT_NEAR(got.far_mean, want.far_mean, 1e-12);
    }
  }
}

TEST(Verification, RefusesWhatCannotBeMeasured) {
  const std::vector<double> nine(9, 1.0);
  const std::vector<bool> nine_same(9, true);
  EXPECT_THROW((void)verify(nine, nine_same, 10), c10::Error);
  EXPECT_THROW((void)verify(nine, nine_same, 1), c10::Error);
  EXPECT_THROW((void)verify(nine, std::vector<bool>(8, true), 3), c10::Error);
  EXPECT_THROW((void)val_at_far(nine, nine_same, -0.1, 3), c10::Error);

  auto broken = nine;
  broken[4] = std::numeric_limits<double>::quiet_NaN();
  try {
    (void)verify(broken, nine_same, 3);
    FAIL() << "took a distance that is not a number";
  } catch (const c10::Error& e) {
    EXPECT_NE(std::string(e.what()).find("pair 4"), std::string::npos) << e.what();
  }
}

class GoldenVerification : public ::testing::Test {
 protected:
  Case pairs(const std::string& group) const {
    Case c{golden.doubles(group + "/distance"), {}};
    for (const auto s : golden.integers(group + "/issame")) c.same.push_back(s != 0);
    return c;
  }
  int folds(const std::string& group) const {
    return static_cast<int>(golden.number(group, "folds"));
  }
  tests::Golden golden{"verification.h5"};
};

TEST_F(GoldenVerification, KFoldAccuracyThresholdsAndCurves) {
  const auto groups = golden.names("/");
  ASSERT_FALSE(groups.empty());
  for (const auto& group : groups) {
    SCOPED_TRACE(group);
    const Case c = pairs(group);
    ASSERT_EQ(static_cast<double>(c.distances.size()), golden.number(group, "pairs"));
    VerificationResult want;
    want.fold_accuracy = golden.doubles(group + "/accuracy_per_fold");
    want.fold_threshold = golden.doubles(group + "/best_threshold_per_fold");
    want.tpr = golden.doubles(group + "/tpr");
    want.fpr = golden.doubles(group + "/fpr");
    want.accuracy_mean = golden.number(group, "accuracy_mean");
    want.accuracy_std = golden.number(group, "accuracy_std");

    expect_same_result(verify(c.distances, c.same, folds(group)), want);
  }
}

void expect_number_or_nan(double got, double want, const std::string& what) {
  if (std::isnan(want)) {
    EXPECT_TRUE(std::isnan(got)) << what << ": got " << got;
  } else {
    EXPECT_NEAR(got, want, 1e-12) << what;
  }
}

TEST_F(GoldenVerification, ValAtFar) {
  int compared = 0;
  for (const auto& group : golden.names("/")) {
    const Case c = pairs(group);
    const std::string prefix = "val_at_far_";
    for (const auto& attribute : golden.attributes(group, prefix)) {
      const std::string name = attribute.substr(prefix.size());
      const std::string suffix = "at_far_" + name;
      SCOPED_TRACE(c10::str(group, " ", name));

      const auto got =
          val_at_far(c.distances, c.same, tests::number_in_name(attribute, prefix), folds(group));

      expect_number_or_nan(got.val_mean, golden.number(group, "val_" + suffix), "val");
      expect_number_or_nan(got.val_std, golden.number(group, "val_std_" + suffix), "val_std");
      expect_number_or_nan(got.far_mean, golden.number(group, "far_" + suffix), "far");
      const bool refused = std::isnan(golden.number(group, attribute));
      EXPECT_EQ(std::isnan(got.val_mean), refused);
      if (golden.has_attribute(group, "val_error_" + name)) {
        EXPECT_EQ(refused, golden.text(group, "val_error_" + name) != "none");
      }
      ++compared;
    }
  }
  if (compared == 0) GTEST_SKIP() << "verification.h5 has no VAL at FAR";
}

}  // namespace
}  // namespace diffprob::eval

#include "eval/metrics/roc.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "tests/support/golden.h"

namespace diffprob::eval {
namespace {

struct Case {
  std::vector<double> distances;
  std::vector<bool> same;
};

/// Few distinct values: most distances tie with others of both kinds.
Case random_case(std::uint64_t seed, std::size_t pairs, int distinct) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> unit(0, 1);
  Case c;
  for (std::size_t i = 0; i < pairs; ++i) {
    c.same.push_back(unit(random) < 0.4);
    c.distances.push_back(std::floor((unit(random) + (c.same.back() ? 0 : 0.5)) * distinct) /
                          distinct);
  }
  c.same[0] = true;
  c.same[1] = false;
  return c;
}

/// Share of pairs of a kind with distance <= threshold, by looking at all.
double accepted(const Case& c, bool kind, double threshold) {
  double count = 0, of = 0;
  for (std::size_t i = 0; i < c.distances.size(); ++i) {
    if (c.same[i] != kind) continue;
    of += 1;
    count += c.distances[i] <= threshold ? 1 : 0;
  }
  return count / of;
}

/// Probability that a same pair is nearer than a different one, ties half: the area by its meaning,
/// not by the curve.
double slow_auc(const Case& c) {
  double wins = 0, comparisons = 0;
  for (std::size_t i = 0; i < c.distances.size(); ++i) {
    for (std::size_t j = 0; j < c.distances.size(); ++j) {
      if (!c.same[i] || c.same[j]) continue;
      comparisons += 1;
      wins += c.distances[i] < c.distances[j] ? 1 : c.distances[i] == c.distances[j] ? 0.5 : 0;
    }
  }
  return wins / comparisons;
}

double slow_tar(const Case& c, double far) {
  double best = 0;
  for (const double threshold : c.distances) {
    if (accepted(c, false, threshold) <= far) best = std::max(best, accepted(c, true, threshold));
  }
  return best;
}

/// Bisection on the interpolated curve: walks the points in order of the threshold and halves the
/// segment in which fpr passes 1 - tpr.
double slow_eer(const Case& c) {
  double fpr0 = 0, tpr0 = 0;
  for (const double threshold : std::set<double>(c.distances.begin(), c.distances.end())) {
    const double fpr1 = accepted(c, false, threshold), tpr1 = accepted(c, true, threshold);
    if (fpr1 >= 1 - tpr1) {
      double low = 0, high = 1;
      for (int step = 0; step < 80; ++step) {
        const double w = (low + high) / 2;
        (fpr0 + w * (fpr1 - fpr0) < 1 - (tpr0 + w * (tpr1 - tpr0)) ? low : high) = w;
      }
      return fpr0 + low * (fpr1 - fpr0);
    }
    fpr0 = fpr1;
    tpr0 = tpr1;
  }
  return 1;
}

TEST(Roc, AgreesWithBruteForceAlsoWhenDistancesTie) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const Case c = random_case(seed, 2 + 5 * seed, seed % 2 == 0 ? 7 : 100000);

    const Roc roc(c.distances, c.same);

    SCOPED_TRACE(seed);
    EXPECT_NEAR(roc.auc(), slow_auc(c), 1e-12);
    EXPECT_NEAR(roc.eer(), slow_eer(c), 1e-12);
    for (const double far : {0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 1.0})
      EXPECT_NEAR(roc.tar_at_far(far), slow_tar(c, far), 1e-12) << far;
  }
}

TEST(Roc, HandNumbers) {
  // Distances 1 and 3 same, 2 and 4 different: points (0, .5) (.5, .5) (.5, 1) (1, 1).
  const std::vector<double> distances{1, 2, 3, 4};

  const Roc roc(distances, {true, false, true, false});

  EXPECT_DOUBLE_EQ(roc.auc(), 0.75);
  EXPECT_DOUBLE_EQ(roc.eer(), 0.5);
  EXPECT_DOUBLE_EQ(roc.tar_at_far(0), 0.5);
  EXPECT_DOUBLE_EQ(roc.tar_at_far(0.4), 0.5);
  EXPECT_DOUBLE_EQ(roc.tar_at_far(0.5), 1);
}

/// The reference's table: all points of the curve by brute force, scikit-learn's drop_intermediate
/// on whole counts, then numpy's search from the end for the least |fpr - target|.
std::pair<double, double> slow_nearest(const Case& c, double far) {
  const double genuine = static_cast<double>(std::count(c.same.begin(), c.same.end(), true));
  const double impostors = static_cast<double>(c.same.size()) - genuine;
  std::vector<std::pair<double, double>> points;  // false accepts, true accepts
  for (const double threshold : std::set<double>(c.distances.begin(), c.distances.end()))
    points.emplace_back(std::round(accepted(c, false, threshold) * impostors),
                        std::round(accepted(c, true, threshold) * genuine));
  std::vector<std::pair<double, double>> kept = {{0, 0}};
  for (std::size_t i = 0; i < points.size(); ++i) {
    const bool inner = i > 0 && i + 1 < points.size();
    if (inner && points[i + 1].first - 2 * points[i].first + points[i - 1].first == 0 &&
        points[i + 1].second - 2 * points[i].second + points[i - 1].second == 0)
      continue;
    kept.push_back(points[i]);
  }
  std::pair<double, double> best;
  double distance = 2;
  for (auto point = kept.rbegin(); point != kept.rend(); ++point) {
    if (const double d = std::abs(point->first / impostors - far); d < distance) {
      distance = d;
      best = {point->first / impostors, point->second / genuine};
    }
  }
  return best;
}

TEST(Roc, AtFarsAgreesWithBruteForce) {
  const std::vector<double> fars = {0, 1e-6, 1e-3, 0.01, 0.03, 0.1, 0.25, 0.5, 0.77, 1};
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Case c = random_case(seed, 2 + 4 * seed, seed % 3 == 0 ? 9 : 100000);

    const auto rows = Roc(c.distances, c.same).at_fars(fars);

    const auto impostors = static_cast<double>(std::count(c.same.begin(), c.same.end(), false));
    for (std::size_t i = 0; i < fars.size(); ++i) {
      SCOPED_TRACE(c10::str("seed ", seed, " far ", fars[i]));
      const auto [far_nearest, tar_nearest] = slow_nearest(c, fars[i]);
      EXPECT_DOUBLE_EQ(rows[i].far_nearest, far_nearest);
      EXPECT_DOUBLE_EQ(rows[i].tar_nearest, tar_nearest);
      EXPECT_NEAR(rows[i].tar, slow_tar(c, fars[i]), 1e-12);
      EXPECT_EQ(rows[i].meaningful, fars[i] * impostors >= 1);
      EXPECT_GE(rows[i].tar_interpolated, rows[i].tar);
      // What the threshold accepts is what the row says.
      double passed = 0, passed_impostors = 0;
      for (std::size_t k = 0; k < c.distances.size(); ++k)
        (c.same[k] ? passed : passed_impostors) += -c.distances[k] > rows[i].threshold ? 1 : 0;
      EXPECT_NEAR(passed / (static_cast<double>(c.same.size()) - impostors), rows[i].tar, 1e-12);
      EXPECT_LE(passed_impostors / impostors, fars[i]);
    }
  }
}

/// Every point of the curve, by counting all pairs at every distance. The first one accepts
/// nothing.
std::vector<RocPoint> slow_points(const Case& c) {
  std::vector<RocPoint> points = {{0, 0, std::numeric_limits<double>::infinity()}};
  for (const double threshold : std::set<double>(c.distances.begin(), c.distances.end()))
    points.push_back({accepted(c, false, threshold), accepted(c, true, threshold), -threshold});
  return points;
}

/// Of all points those that come last below one of the limits.
std::vector<RocPoint> slow_thinned(const Case& c, int per_decade) {
  const std::vector<RocPoint> all = slow_points(c);
  std::set<std::size_t> chosen = {0};
  std::vector<double> limits = {0};
  for (int k = 0; k < 20 * per_decade; ++k)
    limits.push_back(std::pow(10, -static_cast<double>(k) / per_decade));
  for (const double limit : limits) {
    std::size_t last = 0;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].far <= limit) last = i;
    chosen.insert(last);
  }
  std::vector<RocPoint> points;
  for (const std::size_t i : chosen) points.push_back(all[i]);
  return points;
}

void expect_equal(const std::vector<RocPoint>& got, const std::vector<RocPoint>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_DOUBLE_EQ(got[i].far, want[i].far) << i;
    EXPECT_DOUBLE_EQ(got[i].tar, want[i].tar) << i;
    EXPECT_EQ(got[i].threshold, want[i].threshold) << i;
  }
}

TEST(Roc, PointsAreThoseOfBruteForce) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const Case c = random_case(seed, 2 + 20 * seed, seed % 3 == 0 ? 9 : 100000);
    SCOPED_TRACE(seed);

    const Roc roc(c.distances, c.same);

    expect_equal(roc.points(), slow_points(c));
    for (const int per_decade : {1, 3, 20})
      expect_equal(roc.points(per_decade), slow_thinned(c, per_decade));
  }
}

TEST(Roc, AThinnedCurveStaysSmall) {
  const Case c = random_case(3, 20000, 1 << 30);

  const auto points = Roc(c.distances, c.same).points(10);

  EXPECT_LE(points.size(), 45);
  EXPECT_EQ(points.front().tar, 0);
  EXPECT_EQ(points.back().far, 1);
  EXPECT_EQ(points.back().tar, 1);
}

TEST(Roc, InterpolationWhereScoresOfBothKindsAreEqual) {
  // Both of each kind at distance 1: from (0, 0) straight to (1, 1).
  const Roc roc(std::vector<double>{1, 1, 1, 1}, {true, false, true, false});

  const auto rows = roc.at_fars(std::vector<double>{0.25});

  EXPECT_DOUBLE_EQ(rows[0].tar, 0);
  EXPECT_DOUBLE_EQ(rows[0].tar_interpolated, 0.25);
}

TEST(Roc, ScoresInAnyOrder) {
  const Roc roc = Roc::of_scores({0.1, 0.9, 0.5}, {0.2, 0.7, 0.1, 0.0});

  EXPECT_EQ(roc.genuine(), 3);
  EXPECT_EQ(roc.impostors(), 4);
  EXPECT_DOUBLE_EQ(roc.tar_at_far(0), 1.0 / 3);
  EXPECT_DOUBLE_EQ(roc.auc(), (4 + 3 + 1.5) / 12);
  EXPECT_THROW((void)Roc::of_scores({std::nan("")}, {0.1}), c10::Error);
}

TEST(Roc, OneKindOnlyIsNotANumber) {
  for (const bool kind : {true, false}) {
    const Roc roc(std::vector<double>{1, 2}, {kind, kind});

    EXPECT_TRUE(std::isnan(roc.auc()));
    EXPECT_TRUE(std::isnan(roc.eer()));
    EXPECT_TRUE(std::isnan(roc.tar_at_far(0.1)));
    EXPECT_TRUE(roc.points().empty());
    EXPECT_TRUE(roc.points(10).empty());
    EXPECT_TRUE(std::isnan(roc.at_fars(std::vector<double>{0.1})[0].tar_nearest));
  }
}

TEST(Roc, RefusesWhatIsNotANumber) {
  EXPECT_THROW(Roc(std::vector<double>{1, std::nan("")}, {true, false}), c10::Error);
  EXPECT_THROW(Roc(std::vector<double>{1, 2}, {true}), c10::Error);
  EXPECT_THROW((void)Roc(std::vector<double>{1, 2}, {true, false}).tar_at_far(-1), c10::Error);
}

TEST(Roc, Golden) {
  const tests::Golden golden("verification.h5");
  int compared = 0;
  for (const auto& group : golden.names("/")) {
    SCOPED_TRACE(group);
    Case c{golden.doubles(group + "/distance"), {}};
    for (const auto s : golden.integers(group + "/issame")) c.same.push_back(s != 0);

    const Roc roc(c.distances, c.same);

    if (roc.genuine() == 0 || roc.impostors() == 0) {
      EXPECT_TRUE(std::isnan(roc.auc()));
      EXPECT_FALSE(golden.has_attribute(group, "auc"));
      tests::print_skipped(group, "pairs of one kind have no ROC curve");
      continue;
    }
    EXPECT_NEAR(roc.auc(), golden.number(group, "auc"), 1e-12);
    EXPECT_NEAR(roc.eer(), golden.number(group, "eer"), 1e-12);
    const std::string prefix = "tar_at_far_";
    for (const auto& name : golden.attributes(group, prefix)) {
      EXPECT_NEAR(roc.tar_at_far(tests::number_in_name(name, prefix)), golden.number(group, name),
                  1e-12)
          << name;
    }
    ++compared;
  }
  EXPECT_GT(compared, 0) << "verification.h5 has no group with pairs of both kinds";
}

}  // namespace
}  // namespace diffprob::eval

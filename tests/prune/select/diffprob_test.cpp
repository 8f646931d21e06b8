// DiffProb against the slow, obvious walk: start again with d lowered by 0.01 until enough samples
// are kept.
#include "prune/select/diffprob.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "tests/prune/in_memory.h"
#include "tests/prune/whole_selection.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::HasSubstr;

struct Sample {
  double score;
  std::size_t index;
};

std::set<std::size_t> obvious_walk(const std::vector<Sample>& sorted, double gap) {
  std::set<std::size_t> kept = {sorted[0].index};
  double last = sorted[0].score;
  for (const Sample& sample : sorted) {
    if (kept.count(sample.index) != 0 || !(last - sample.score > gap)) continue;
    kept.insert(sample.index);
    last = sample.score;
  }
  return kept;
}

std::set<std::size_t> obvious_largest_gaps(const std::vector<Sample>& sorted, std::size_t wanted) {
  std::vector<Sample> gaps;
  for (std::size_t i = 1; i < sorted.size(); ++i)
    gaps.push_back({sorted[i - 1].score - sorted[i].score, sorted[i].index});
  std::stable_sort(gaps.begin(), gaps.end(),
                   [](const Sample& a, const Sample& b) { return a.index < b.index; });
  std::stable_sort(gaps.begin(), gaps.end(),
                   [](const Sample& a, const Sample& b) { return a.score > b.score; });
  std::set<std::size_t> kept = {sorted[0].index};
  for (std::size_t i = 0; kept.size() < wanted; ++i) kept.insert(gaps[i].index);
  return kept;
}

std::set<std::size_t> obvious_kept(const std::vector<Sample>& sorted,
                                   const DiffProbOptions& options) {
  const auto wanted = static_cast<std::size_t>(options.floor.min_kept);
  if (options.preset == Preset::kReference && wanted == 1) return {sorted[0].index};
  double d = 0;
  auto kept = obvious_walk(sorted, (1 + d) * options.threshold);
  while (kept.size() < wanted) {
    d = d - 0.01;
    const double gap = (1 + d) * options.threshold;
    if (options.preset == Preset::kDefault && gap <= 0) return obvious_largest_gaps(sorted, wanted);
    kept = obvious_walk(sorted, gap);
  }
  return kept;
}

/// Reasons of one identity's samples (all of `scores`), every one usable.
std::vector<Reason> obvious_reasons(const std::vector<double>& scores,
                                    const DiffProbOptions& options) {
  std::vector<Reason> reasons(scores.size(), Reason::kKept);
  if (static_cast<std::int64_t>(scores.size()) <= options.floor.min_kept) return reasons;
  std::vector<Sample> sorted;
  for (std::size_t i = 0; i < scores.size(); ++i) sorted.push_back({scores[i], i});
  if (options.preset == Preset::kReference) {
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Sample& a, const Sample& b) { return a.score < b.score; });
    std::reverse(sorted.begin(), sorted.end());
  } else {
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Sample& a, const Sample& b) { return a.score > b.score; });
  }
  const auto plain = obvious_walk(sorted, options.threshold);
  const auto kept = obvious_kept(sorted, options);
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    reasons[i] = kept.count(i) == 0    ? Reason::kRedundant
                 : plain.count(i) == 0 ? Reason::kKeptByFloor
                                       : Reason::kKept;
  }
  return reasons;
}

/// -log p of n samples of one of several kinds: spread, near 1, saturated, few values, only p = 0
/// and 1, equal steps.
std::vector<float> draw_nll(Draws& draws, std::int64_t n) {
  const auto kind = draws.below(7);
  std::vector<float> nll;
  for (std::int64_t i = 0; i < n; ++i) {
    const double u = draws.uniform();
    const double of_kind[] = {4 * u * u * u,
                              1e-6 * u,
                              0,
                              0.02 * std::floor(3 * u),
                              u < 0.5 ? 0 : std::numeric_limits<double>::infinity(),
                              -std::log1p(-std::floor(40 * u) / 1024),
                              std::ldexp(1.0, -static_cast<int>(140 * u))};
    nll.push_back(static_cast<float>(of_kind[kind]));
  }
  return nll;
}

std::vector<float> probabilities(const std::vector<float>& nll) {
  std::vector<float> p;
  for (const float value : nll)
    p.push_back(static_cast<float>(std::exp(-static_cast<double>(value))));
  return p;
}

std::vector<double> scores_of(const std::vector<float>& nll, Preset preset) {
  std::vector<double> scores;
  for (const float p : preset == Preset::kReference ? probabilities(nll) : std::vector<float>{})
    scores.push_back(p);
  if (preset == Preset::kDefault) {
    for (const float value : nll) scores.push_back(std::expm1(-static_cast<double>(value)));
  }
  return scores;
}

std::vector<Reason> select_one(const std::vector<float>& nll, const DiffProbOptions& options) {
  const std::vector<std::int32_t> labels(nll.size(), 0);
  std::vector<Reason> reasons(nll.size(), Reason::kKept);
  select_diffprob_of(nll, probabilities(nll), labels, {0, 1}, options, reasons);
  return reasons;
}

std::int64_t kept_of(const std::vector<Reason>& reasons) {
  return Selection{reasons}.kept();
}

class BothPresets : public ::testing::TestWithParam<Preset> {};
INSTANTIATE_TEST_SUITE_P(Presets, BothPresets,
                         ::testing::Values(Preset::kDefault, Preset::kReference),
                         [](const auto& preset) {
                           return preset.param == Preset::kDefault ? "Default" : "Reference";
                         });

TEST_P(BothPresets, EqualsTheObviousWalkOnRandomIdentities) {
  constexpr double kThresholds[] = {std::numeric_limits<double>::denorm_min(),
                                    1e-300,
                                    1e-12,
                                    3e-7,
                                    3e-5,
                                    1.0 / 1024,
                                    0.01,
                                    0.1,
                                    1,
                                    50,
                                    1e300};
  Draws draws(41);
  int lowered = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    const std::int64_t n = trial % 4 == 0 ? draws.below(90) : draws.below(12);
    const auto nll = draw_nll(draws, n);
    DiffProbOptions options{
        kThresholds[draws.below(std::size(kThresholds))], {1 + draws.below(8)}, GetParam()};

    const auto reasons = select_one(nll, options);

    ASSERT_EQ(reasons, obvious_reasons(scores_of(nll, GetParam()), options))
        << "trial " << trial << ", n " << n << ", t " << options.threshold << ", M "
        << options.floor.min_kept;
    lowered += std::count(reasons.begin(), reasons.end(), Reason::kKeptByFloor) > 0 ? 1 : 0;
  }
  EXPECT_GT(lowered, 2000) << "the trials must reach the lowered threshold";
}

TEST_P(BothPresets, IdentitiesOfZeroToSevenSamplesKeepAtLeastTheMinimum) {
  for (std::int64_t n = 0; n <= 7; ++n) {
    for (const double threshold : {1e-9, 0.1, 1e9}) {
      Draws draws(static_cast<std::uint64_t>(n));
      std::vector<float> nll;
      for (std::int64_t i = 0; i < n; ++i) nll.push_back(static_cast<float>(draws.uniform()));

      const auto reasons = select_one(nll, {threshold, {5}, GetParam()});

      EXPECT_GE(kept_of(reasons), std::min<std::int64_t>(n, 5));
      if (n <= 5) {
        EXPECT_EQ(std::count(reasons.begin(), reasons.end(), Reason::kKept), n);
      }
    }
  }
}

TEST_P(BothPresets, CountEqualsSelectionForManyIdentities) {
  const ScoreTable table = synthetic_table(5, 200, 20);
  std::vector<Reason> usable(table.labels.size(), Reason::kKept);
  for (std::size_t i = 0; i < usable.size(); i += 7) usable[i] = Reason::kMislabelled;
  const UsableSlots slots(table.labels, usable, 200);
  const SortedIdentities sorted =
      sorted_of(slots, nll_of(table), probability_of(table), GetParam());
  for (const double threshold : {1e-10, 3e-5, 0.003, 0.2, 30.0}) {
    for (const std::int64_t minimum : {1, 3, 5, 40}) {
      auto reasons = usable;

      const DiffProbOptions options{threshold, {minimum}, GetParam()};
      slots.decide(reasons,
                   [&](std::span<Reason> of_slots) { select_diffprob(sorted, options, of_slots); });

      EXPECT_EQ(kept_of(reasons), count_one(sorted, options)) << threshold << " " << minimum;
    }
  }
}

TEST_P(BothPresets, ManyThresholdsAtOnceAreCountedAsOneByOne) {
  const ScoreTable table = synthetic_table(6, 150, 20);
  const std::vector<Reason> usable(table.labels.size(), Reason::kKept);
  const UsableSlots slots(table.labels, usable, 150);
  const SortedIdentities sorted =
      sorted_of(slots, nll_of(table), probability_of(table), GetParam());
  for (const std::int64_t minimum : {1, 5}) {
    DiffProbOptions options{1, {minimum}, GetParam()};
    ThresholdCounter counter(sorted, options);
    for (std::size_t count = 1; count <= 20; ++count) {
      std::vector<double> thresholds;
      for (std::size_t i = 0; i < count; ++i)
        thresholds.push_back(
            std::ldexp(1.0 + 0.1 * static_cast<double>(i), -static_cast<int>(2 * i)));

      const auto counts = counter.count(thresholds);

      ASSERT_EQ(counts.size(), count);
      for (std::size_t i = 0; i < count; ++i) {
        options.threshold = thresholds[i];
        auto reasons = usable;
        slots.decide(reasons, [&](std::span<Reason> of_slots) {
          select_diffprob(sorted, options, of_slots);
        });
        EXPECT_EQ(counts[i], kept_of(reasons)) << thresholds[i];
      }
    }
  }
}

TEST_P(BothPresets, CounterEqualsTheSelectionOnRandomIdentities) {
  Draws draws(43);
  for (int trial = 0; trial < 3000; ++trial) {
    const auto nll = draw_nll(draws, draws.below(trial % 4 == 0 ? 60 : 14));
    const std::vector<std::int32_t> labels(nll.size(), 0);
    const UsableSlots slots(labels, std::vector<Reason>(nll.size(), Reason::kKept), 1);
    const SortedIdentities sorted = sorted_of(slots, nll, probabilities(nll), GetParam());
    DiffProbOptions options{1, {1 + draws.below(8)}, GetParam()};
    ThresholdCounter counter(sorted, options);
    std::vector<double> thresholds = {1e-300, 1.0 / 1024, 1e300};
    for (int k = 0; k < 6; ++k)
      thresholds.push_back(std::ldexp(1 + draws.uniform(), -static_cast<int>(draws.below(30))));
    for (int k = 1; k <= 6; ++k) thresholds.push_back(thresholds[3] * (1 + 0.01 * k));
    // Thresholds that are differences of scores: the strict comparison decides.
    for (std::size_t i = 1; i < std::min<std::size_t>(nll.size(), 9); ++i) {
      const double gap = sorted.values(0)[0] - sorted.values(0)[i];
      if (gap > 0) thresholds.push_back(gap);
    }

    auto counts = counter.count(thresholds);
    // One by one, ever nearer to each other, as a search asks for them: brackets of thresholds
    // counted before.
    double low = 0.25 * thresholds[4];
    double high = thresholds[4];
    for (int k = 0; k < 12; ++k) {
      thresholds.push_back(low + (high - low) / 2);
      counts.push_back(counter.count(std::span(thresholds).last(1))[0]);
      (draws.below(2) == 0 ? low : high) = thresholds.back();
    }
    for (int k = 0; k < 5; ++k) thresholds.push_back(low * (0.9 + 0.05 * k));
    for (const auto count : counter.count(std::span(thresholds).last(5))) counts.push_back(count);

    for (std::size_t k = 0; k < thresholds.size(); ++k) {
      options.threshold = thresholds[k];
      ASSERT_EQ(counts[k], kept_of(obvious_reasons(scores_of(nll, GetParam()), options)))
          << "trial " << trial << ", n " << nll.size() << ", t " << thresholds[k] << ", M "
          << options.floor.min_kept;
    }
  }
}

TEST_P(BothPresets, AShareAsFloorIsThatManyOfEachIdentity) {
  Draws draws(8);
  for (int trial = 0; trial < 500; ++trial) {
    const std::int64_t n = draws.below(60);
    const auto nll = draw_nll(draws, n);
    const DiffProbOptions by_share{0.01, {2, 0.3}, GetParam()};
    const DiffProbOptions by_count{
        0.01,
        {std::max<std::int64_t>(2, static_cast<std::int64_t>(static_cast<double>(n) * 0.3))},
        GetParam()};

    EXPECT_EQ(select_one(nll, by_share), select_one(nll, by_count)) << n;
  }
}

TEST_P(BothPresets, DroppedSamplesStayAsTheyAreAndDoNotCount) {
  const std::vector<std::int32_t> labels(12, 0);
  std::vector<float> nll(12, 0.5F);
  nll[3] = std::numeric_limits<float>::quiet_NaN();  // dropped: never read
  std::vector<Reason> reasons(12, Reason::kKept);
  reasons[3] = Reason::kUnreadable;
  for (const std::size_t i : {0, 1, 2, 4, 5, 6}) reasons[i] = Reason::kMislabelled;
  const auto before = reasons;

  select_diffprob_of(nll, std::vector<float>(12, 0.6F), labels, {0, 1}, {0.1, {5}, GetParam()},
                     reasons);

  EXPECT_EQ(reasons, before) << "five usable samples are left: all kept";
}

TEST_P(BothPresets, OnlyIdentitiesOfTheRangeAreTouched) {
  const ScoreTable table = synthetic_table(9, 30, 15);
  const auto nll = nll_of(table);
  const auto p = probability_of(table);
  std::vector<Reason> whole(nll.size(), Reason::kKept);
  std::vector<Reason> parts = whole;
  const DiffProbOptions options{0.05, {5}, GetParam()};

  select_diffprob_of(nll, p, table.labels, {0, 30}, options, whole);
  select_diffprob_of(nll, p, table.labels, {10, 22}, options, parts);

  for (std::size_t i = 0; i < whole.size(); ++i) {
    const bool inside = table.labels[i] >= 10 && table.labels[i] < 22;
    EXPECT_EQ(parts[i], inside ? whole[i] : Reason::kKept) << i;
  }
}

TEST(DiffProb, SaturatedIdentityKeepsTheMinimumByDefaultAndAllInTheReference) {
  const std::vector<float> nll(300, 0.0F);

  const auto ours = select_one(nll, {3e-5, {5}, Preset::kDefault});
  const auto reference = select_one(nll, {3e-5, {5}, Preset::kReference});

  EXPECT_EQ(Selection{ours}.kept_indices(), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(ours[0], Reason::kKept);
  EXPECT_EQ(ours[1], Reason::kKeptByFloor);
  EXPECT_EQ(kept_of(reference), 300);
  EXPECT_EQ(reference[299], Reason::kKept) << "the reference starts at the last of equal samples";
}

TEST(DiffProb, DefaultSeesDifferencesThatFloat32ProbabilityLost) {
  const std::vector<float> nll = {1e-9F, 2e-9F, 3e-9F, 4e-9F, 5e-9F, 1e-8F, 2e-8F, 2.9e-8F};

  const auto reasons = select_one(nll, {5e-9, {2}, Preset::kDefault});

  for (const float p : probabilities(nll)) EXPECT_EQ(p, 1.0F) << "saturated in float32";
  EXPECT_EQ(Selection{reasons}.kept_indices(), (std::vector<std::int64_t>{0, 5, 6, 7}));
}

TEST(DiffProb, LargestGapsAreKeptWhenNoThresholdIsSmallEnough) {
  std::vector<float> nll(20, 0.0F);
  nll[11] = 1e-6F;  // one sample apart; all else equal, so no positive threshold keeps three

  const auto reasons = select_one(nll, {0.1, {3}, Preset::kDefault});

  EXPECT_EQ(Selection{reasons}.kept_indices(), (std::vector<std::int64_t>{0, 1, 11}));
}

TEST(DiffProb, EqualScoresOfDifferentLogProbabilitiesGoByIndex) {
  // Beyond 38, p - 1 is -1 in float64: all these are equal, whatever their -log p.
  const std::vector<float> nll = {90, 50, 70, 40, 0, 60, 100, 45};

  const auto reasons = select_one(nll, {0.5, {4}, Preset::kDefault});

  EXPECT_EQ(Selection{reasons}.kept_indices(), (std::vector<std::int64_t>{0, 1, 2, 4}));
}

TEST(DiffProb, BadOptionsAreNamed) {
  const auto message = [&](const DiffProbOptions& options) {
    return message_of<PruneError>([&] { static_cast<void>(select_one({0.5F, 0.5F}, options)); });
  };

  for (const double threshold :
       {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(message({threshold, {5}, Preset::kDefault}), HasSubstr("threshold is"));
  }
  EXPECT_THAT(message({3e-5, {0}, Preset::kDefault}), HasSubstr("min_kept is 0"));
  EXPECT_THAT(message({3e-5, {5, 1.5}, Preset::kDefault}), HasSubstr("min_kept_share is 1.5"));
  EXPECT_EQ(message({1e300, {5}, Preset::kDefault}), "");
}

}  // namespace
}  // namespace diffprob::prune::tests

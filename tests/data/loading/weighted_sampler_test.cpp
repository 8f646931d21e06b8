#include "data/loading/weighted_sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "data/error.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using ::testing::HasSubstr;
using Indices = std::vector<std::int64_t>;

/// Labels without images.
class LabelledSet final : public Dataset {
 public:
  LabelledSet(Indices labels, std::int64_t classes)
      : labels_(std::move(labels)), classes_(classes) {}
  [[nodiscard]] std::int64_t size() const override {
    return static_cast<std::int64_t>(labels_.size());
  }
  [[nodiscard]] std::int64_t num_classes() const override { return classes_; }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override {
    return labels_[static_cast<std::size_t>(index)];
  }
  void read(std::int64_t /*index*/, std::vector<std::byte>& /*bytes*/) const override {
    throw DataError("no images");
  }
  [[nodiscard]] std::string describe(std::int64_t index) const override {
    return std::to_string(index);
  }
  [[nodiscard]] std::string fingerprint() const override { return "labels"; }

 private:
  Indices labels_;
  std::int64_t classes_;
};

/// Classes of 1, 2, ... samples, mixed; class 3 is empty.
LabelledSet uneven_set(std::int64_t classes) {
  Indices labels;
  for (std::int64_t label = 0; label < classes; ++label)
    for (std::int64_t i = 0; label != 3 && i <= label; ++i) labels.push_back(label);
  const Permutation order(static_cast<std::int64_t>(labels.size()), 3);
  Indices mixed;
  for (std::size_t i = 0; i < labels.size(); ++i)
    mixed.push_back(labels[static_cast<std::size_t>(order(static_cast<std::int64_t>(i)))]);
  return {mixed, classes};
}

Indices epoch_of(const BatchPlan& plan) {
  Indices all, part;
  for (std::int64_t batch = 0; batch < plan.num_batches(); ++batch) {
    plan.indices(batch, part);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::vector<float> random_weights(std::size_t count) {
  KeyedRandom random(8);
  std::vector<float> weights;
  for (std::size_t i = 0; i < count; ++i)
    weights.push_back(i % 7 == 0 ? 0.0f : std::exp(3.0f * random.normal()));
  return weights;
}

TEST(AliasTable, DrawsAsOftenAsTheWeightsSay) {
  constexpr int kDraws = 400000;
  for (const std::size_t count : {2, 5, 60, 300}) {
    const auto weights = random_weights(count);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const AliasTable table(weights);
    std::vector<int> drawn(count);
    for (std::uint64_t i = 0; i < kDraws; ++i)
      ++drawn[static_cast<std::size_t>(table.draw(KeyedRandom(combine_key(1, i))))];
    for (std::size_t i = 0; i < count; ++i) {
      const double p = static_cast<double>(weights[i]) / sum;
      EXPECT_NEAR(drawn[i], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)) + 1e-9)
          << i << " of " << count;
    }
  }
}

TEST(AliasTable, EqualWeightsAndOneWeight) {
  const AliasTable one(std::vector<float>{0.0f, 3.0f, 0.0f});
  const AliasTable equal(std::vector<float>(10, 0.1f));
  std::vector<int> drawn(10);
  for (std::uint64_t i = 0; i < 20000; ++i) {
    EXPECT_EQ(one.draw(KeyedRandom(i)), 1);
    ++drawn[static_cast<std::size_t>(equal.draw(KeyedRandom(i)))];
  }
  for (const int count : drawn) EXPECT_NEAR(count, 2000, 5 * std::sqrt(1800.0));
}

TEST(AliasTable, ErrorsNameTheSample) {
  const auto error = [](const std::vector<float>& weights) {
    return test::error_of([&] { AliasTable table(weights); });
  };
  EXPECT_THAT(error({1.0f, -1.0f}), HasSubstr("sample 1"));
  EXPECT_THAT(error({1.0f, 1.0f, std::nanf("")}), HasSubstr("sample 2"));
  EXPECT_THAT(error({INFINITY}), HasSubstr("sample 0"));
  EXPECT_THAT(error({0.0f, 0.0f}), HasSubstr("all 2 are 0"));
  EXPECT_THAT(error({}), HasSubstr("0 samples"));
}

TEST(ClassSizeWeights, AreAPowerOfTheClassSize) {
  const LabelledSet set = uneven_set(8);
  for (const double power : {0.0, 0.5, 1.0}) {
    const auto weights = class_size_weights(set, power);
    for (std::int64_t i = 0; i < set.size(); ++i)  // class c has c + 1 samples
      EXPECT_NEAR(weights[static_cast<std::size_t>(i)],
                  std::pow(static_cast<double>(set.label(i) + 1), -power), 1e-6);
  }
}

using MakePlan = std::function<std::unique_ptr<BatchPlan>(PassOptions)>;

/// What both plans promise.
void expect_keyed(const MakePlan& make, const PassOptions& pass) {
  const auto whole = make(pass);
  ASSERT_EQ(whole->num_batches(), pass.epoch_samples / pass.global_batch);
  std::set<std::uint64_t> keys;
  for (std::int64_t batch = 0; batch < whole->num_batches(); ++batch) {
    Indices wanted;
    whole->indices(batch, wanted);
    for (int world = 2; world <= 5; ++world) {
      Indices joined;
      for (int rank = 0; rank < world; ++rank) {
        PassOptions part = pass;
        part.rank = rank;
        part.world_size = world;
        Indices rows;
        const auto plan = make(part);
        plan->indices(batch, rows);
        EXPECT_EQ(plan->key(), whole->key());
        for (std::size_t row = 0; row < rows.size(); ++row)
          EXPECT_EQ(
              plan->augment_key(batch, static_cast<std::int64_t>(row), rows[row]),
              whole->augment_key(batch, static_cast<std::int64_t>(joined.size() + row), rows[row]));
        joined.insert(joined.end(), rows.begin(), rows.end());
      }
      EXPECT_EQ(joined, wanted) << world;
    }
    for (std::size_t row = 0; row < wanted.size(); ++row)
      keys.insert(whole->augment_key(batch, static_cast<std::int64_t>(row), wanted[row]));
  }
  EXPECT_EQ(static_cast<std::int64_t>(keys.size()),
            whole->num_batches() * pass.global_batch);  // copies of a sample differ
  PassOptions other = pass;
  ++other.epoch;
  EXPECT_NE(epoch_of(*make(other)), epoch_of(*whole));
  other = pass;
  ++other.seed;
  EXPECT_NE(epoch_of(*make(other)), epoch_of(*whole));
  EXPECT_EQ(epoch_of(*make(pass)), epoch_of(*whole));
}

TEST(WeightedPlan, OrderIsAFunctionOfSeedAndEpoch) {
  const auto table = std::make_shared<AliasTable>(random_weights(50));
  expect_keyed([&](const PassOptions& pass) { return std::make_unique<WeightedPlan>(table, pass); },
               {.epoch_samples = 103, .global_batch = 16, .seed = 4, .epoch = 2});
}

TEST(WeightedPlan, EpochFollowsTheWeights) {
  const LabelledSet set = uneven_set(12);
  const auto table = std::make_shared<AliasTable>(class_size_weights(set, 1.0));
  std::vector<int> classes(12);
  for (const auto index :
       epoch_of(WeightedPlan(table, {.epoch_samples = 110000, .global_batch = 100})))
    ++classes[static_cast<std::size_t>(set.label(index))];
  for (std::size_t label = 0; label < 12; ++label)
    EXPECT_NEAR(classes[label], label == 3 ? 0 : 10000, 5 * std::sqrt(10000.0 * 10 / 11));
}

TEST(ClassIndex, GroupsTheSamples) {
  const LabelledSet set = uneven_set(9);
  const ClassIndex index(set);
  ASSERT_EQ(index.num_classes(), 8);
  std::int64_t n = 0;
  for (std::int64_t label = 0; label < 9; ++label) {
    std::vector<std::uint32_t> wanted;
    for (std::int64_t i = 0; i < set.size(); ++i)
      if (set.label(i) == label) wanted.push_back(static_cast<std::uint32_t>(i));
    if (wanted.empty()) continue;
    const auto found = index.samples(n++);
    EXPECT_EQ(std::vector(found.begin(), found.end()), wanted);
  }
  EXPECT_THROW(ClassIndex(LabelledSet({}, 4)), DataError);
}

TEST(ClassBalancedPlan, OrderIsAFunctionOfSeedAndEpoch) {
  const auto classes = std::make_shared<ClassIndex>(uneven_set(9));
  expect_keyed(
      [&](const PassOptions& pass) { return std::make_unique<ClassBalancedPlan>(classes, pass); },
      {.epoch_samples = 103, .global_batch = 16, .seed = 4, .epoch = 2});
}

/// Counts while going along, instead of jumping to a place.
TEST(ClassBalancedPlan, GoesRoundTheClassesAndThroughTheirSamples) {
  const LabelledSet set = uneven_set(9);
  const ClassBalancedPlan plan(std::make_shared<ClassIndex>(set),
                               {.epoch_samples = 1000, .global_batch = 10, .seed = 1});
  const Indices order = epoch_of(plan);
  std::set<std::int64_t> round;
  std::map<std::int64_t, std::set<std::int64_t>>
      turn;  // samples of a class since all had their turn
  std::map<std::int64_t, int> visits;
  for (const auto index : order) {
    const auto label = set.label(index);
    EXPECT_TRUE(round.insert(label).second) << "a class twice in a round";
    if (round.size() == 8) round.clear();
    EXPECT_TRUE(turn[label].insert(index).second)
        << "a sample again before all of its class had their turn";
    if (static_cast<std::int64_t>(turn[label].size()) == label + 1) turn[label].clear();
    ++visits[label];
  }
  for (const auto& [label, count] : visits) EXPECT_EQ(count, 125) << label;
  std::set<Indices> rounds;
  for (std::size_t at = 0; at < 1000; at += 8) {
    Indices labels;
    for (std::size_t i = at; i < at + 8; ++i) labels.push_back(set.label(order[i]));
    rounds.insert(labels);
  }
  EXPECT_GT(rounds.size(), 120u);  // rounds have orders of their own
}

TEST(WithReplacementPlan, RefusesImpossiblePasses) {
  const auto table = std::make_shared<AliasTable>(std::vector<float>{1.0f, 1.0f});
  const auto error = [&](const PassOptions& pass) {
    return test::error_of([&] { WeightedPlan(table, pass); });
  };
  EXPECT_THAT(error({.epoch_samples = 5, .global_batch = 6}), HasSubstr("lower train.batch_size"));
  EXPECT_THAT(error({.epoch_samples = 5, .global_batch = 0}), HasSubstr("global batch of 0"));
  EXPECT_THAT(error({.epoch_samples = 5, .global_batch = 2, .rank = 2, .world_size = 2}),
              HasSubstr("rank 2 of 2"));
}

}  // namespace
}  // namespace diffprob::data

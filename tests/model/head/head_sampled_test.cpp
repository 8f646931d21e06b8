// Class sampling: the sampler against sorting by hash, the sampled head against a replicated one
// over the sampled classes alone.
#include <algorithm>
#include <numeric>
#include <set>

#include <gmock/gmock.h>

#include "data/random/keyed_random.h"
#include "model/softmax/class_sampler.h"
#include "model/softmax/keyed_hash.h"
#include "tests/model/head_scale_support.h"

namespace diffprob::tests {
namespace {

using model::CentreGradients;

/// Own classes first, then the largest hashes; from the definition.
std::vector<std::int64_t> slow_sample(const torch::Tensor& labels, std::int64_t first,
                                      std::int64_t classes, std::int64_t count, std::uint64_t key) {
  std::set<std::int64_t> own;
  for (std::int64_t i = 0; i < labels.size(0); ++i)
    own.insert(labels[i].item<std::int64_t>() - first);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(classes));
  std::iota(rows.begin(), rows.end(), 0);
  const auto rank_of = [&](std::int64_t row) {
    const std::uint64_t hash =
        data::splitmix64(data::splitmix64(key) + static_cast<std::uint64_t>(first + row)) &
        (~0ull >> 1);
    return std::pair(own.contains(row) ? 1 : 0, hash);
  };
  std::sort(rows.begin(), rows.end(), [&](auto a, auto b) { return rank_of(a) > rank_of(b); });
  rows.resize(static_cast<std::size_t>(count));
  std::sort(rows.begin(), rows.end());
  return rows;
}

torch::Tensor host_key(std::uint64_t key) {
  return model::key_on(at::kCPU, key);
}

std::vector<std::int64_t> as_vector(const torch::Tensor& ids) {
  return {ids.data_ptr<std::int64_t>(), ids.data_ptr<std::int64_t>() + ids.numel()};
}

TEST(ClassSampler, TakesOwnClassesThenTheLargestHashes) {
  const auto labels = torch::tensor({3, 900, 105, 105, 199, 100, 250, 0}, torch::kLong);
  for (const std::uint64_t key : {1ull, 77ull, ~0ull}) {
    for (const std::int64_t count : {4, 8, 40, 99, 100}) {
      const auto sample = model::sample_classes(labels, 100, 100, count, host_key(key));
      EXPECT_EQ(as_vector(sample.rows), slow_sample(labels, 100, 100, count, key))
          << "key " << key << ", count " << count;
    }
  }
}

TEST(ClassSampler, ShardWithoutClassesGivesNone) {
  EXPECT_EQ(
      model::sample_classes(torch::tensor({1, 2}, torch::kLong), 5, 0, 0, host_key(1)).rows.numel(),
      0);
  EXPECT_EQ(
      model::sample_classes(torch::tensor({1, 2}, torch::kLong), 5, 9, 0, host_key(1)).rows.numel(),
      0);
}

TEST(ClassSampler, CountIsTheShareUnlessTheBatchHasMoreClasses) {
  const auto labels = torch::arange(1000, 1064, torch::kLong).repeat({8});  // 64 classes, 512 rows
  EXPECT_EQ(model::sampled_count(0.1, labels, 0, 10000), 1000);
  EXPECT_EQ(model::sampled_count(0.1, labels, 0, 10001), 1001);
  EXPECT_EQ(model::sampled_count(0.01, labels, 0, 10000), 100);  // fewer than the batch has rows
  EXPECT_EQ(model::sampled_count(0.001, labels, 0, 10000), 64);
  EXPECT_EQ(model::sampled_count(0.0, labels, 0, 10000), 64);
  EXPECT_EQ(model::sampled_count(0.0, labels, 1060, 10000), 4);  // 1060 ... 1063
  EXPECT_EQ(model::sampled_count(0.0, labels, 0, 1001), 1);
  EXPECT_EQ(model::sampled_count(0.0, labels, 2000, 10000), 0);
  EXPECT_EQ(model::sampled_count(0.001, labels, 2000, 10000), 10);
  EXPECT_EQ(model::sampled_count(0.1, labels, 1000, 30), 30);
  EXPECT_EQ(model::sampled_count(1.0, labels, 0, 0), 0);
}

TEST(ClassSampler, SaysWhenTheClassesOfABatchMayBeMoreThanItsShare) {
  EXPECT_TRUE(model::counts_labels(0.05, 512, 10000));
  EXPECT_FALSE(model::counts_labels(0.0512, 512, 10000));
  EXPECT_FALSE(model::counts_labels(1.0, 512, 100));
  EXPECT_TRUE(model::counts_labels(0.5, 512, 100));
  EXPECT_FALSE(model::counts_labels(0.0, 512, 0));
}

TEST(KeyedHash, KeysOnADeviceAreCombinedAsOnTheHost) {
  for (const std::uint64_t key : {0ull, 1ull, 0x8000000000000005ull, ~0ull}) {
    for (const std::uint64_t value : {0ull, 7ull, ~0ull - 3}) {
      const torch::Tensor wanted = host_key(data::combine_key(key, value));
      EXPECT_TRUE(torch::equal(model::combine_key(key, host_key(value)), wanted));
      EXPECT_TRUE(torch::equal(model::combine_key(host_key(key), value), wanted));
    }
  }
}

TEST(ClassSampler, EveryClassIsTakenAsOften) {
  constexpr int kSteps = 400;
  auto taken = torch::zeros({200}, torch::kLong);
  for (std::uint64_t key = 0; key < kSteps; ++key) {
    taken.index_add_(
        0, model::sample_classes(torch::empty({0}, torch::kLong), 0, 200, 20, host_key(key)).rows,
        torch::ones({20}, torch::kLong));
  }
  EXPECT_EQ(taken.sum().item<std::int64_t>(), kSteps * 20);
  // Binomial with mean 40 and deviation 6.
  EXPECT_GE(taken.min().item<std::int64_t>(), 10);
  EXPECT_LE(taken.max().item<std::int64_t>(), 70);
}

class HeadSampledTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kSeed = 5;
  /// Global ids of the classes that all ranks sample in step `key`, ascending.
  [[nodiscard]] torch::Tensor sampled_ids(const HeadProblem& problem, double rate,
                                          std::uint64_t key) const {
    const std::int64_t classes = problem.weight.size(0);
    const auto sample_key =
        data::combine_key(data::combine_key(kSeed, data::key_of_name("head.sample")), key);
    std::vector<std::int64_t> ids;
    for (int r = 0; r < communicator_->world_size(); ++r) {
      const auto first = model::first_class_of_rank(classes, r, communicator_->world_size());
      const auto local =
          model::first_class_of_rank(classes, r + 1, communicator_->world_size()) - first;
      std::set<std::int64_t> own;
      for (const auto label : as_vector(problem.labels))
        if (label >= first && label < first + local) own.insert(label);
      const auto share = static_cast<std::int64_t>(std::ceil(rate * static_cast<double>(local)));
      const auto count = std::max(share, static_cast<std::int64_t>(own.size()));
      for (const auto row : slow_sample(problem.labels, first, local, count, sample_key))
        ids.push_back(first + row);
    }
    return torch::tensor(ids, torch::kLong);
  }
  [[nodiscard]] static model::HeadOptions options(double rate) {
    model::HeadOptions result;
    result.sample_rate = rate;
    result.seed = kSeed;
    result.chunk_classes = 7;
    result.max_buffer_bytes = 7 * 3 * 8 * 4;
    return result;
  }
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
};

TEST_F(HeadSampledTest, EqualsReplicatedHeadOfTheSampledClasses) {
  const auto problem = mixed_problem(8, 400, 24, 91);
  for (const double rate : {0.0, 0.001, 0.01, 0.1, 0.5, 0.999}) {
    for (const std::uint64_t key : {3ull, 4ull}) {
      SCOPED_TRACE(c10::str("rate ", rate, ", key ", key));
      const auto ids = sampled_ids(problem, rate, key);
      const auto slow = slow_head({problem.embeddings, torch::searchsorted(ids, problem.labels),
                                   problem.weight.index_select(0, ids)},
                                  {});
      auto wanted = torch::zeros({400, 24}, torch::kDouble);
      wanted.index_copy_(0, ids, slow.grad_weight);
      ScaledHead head(problem, options(rate), *communicator_);
      KeptGradients kept(head.head().weight());

      model::HeadStepOptions step_options{.key = key, .centre_gradients = CentreGradients::kDefer};
      if (key == 4) {  // as in a captured step: the host's key is that of another step
        step_options.key = 99;
        step_options.device_key = model::key_on(head.head().weight().device(), key);
      }
      const auto step = head.step(step_options);
      head.head().apply(kept);

      EXPECT_LE(distance(step.loss, slow.loss, largest(slow.loss)), 1e-5);
      EXPECT_LE(distance(step.probability, head.own(slow.probability)), 5e-5);
      EXPECT_LE(distance(step.grad_embeddings, head.own(slow.grad_embeddings),
                         largest(slow.grad_embeddings)),
                2e-5);
      EXPECT_LE(distance(kept.whole, head.own_classes(wanted), largest(wanted)), 2e-5);
      EXPECT_TRUE(torch::equal(step.correct, head.own(slow.cosines.argmax(1) ==
                                                      torch::searchsorted(ids, problem.labels))));
      auto times = torch::zeros({400}, torch::kLong);
      times.index_fill_(0, ids, 1);
      EXPECT_TRUE(torch::equal(kept.times, head.own_classes(times)));
    }
  }
}

TEST_F(HeadSampledTest, RateOfZeroTakesTheClassesOfTheBatchOnAnyNumberOfRanks) {
  const auto problem = mixed_problem(8, 400, 24, 95);
  EXPECT_TRUE(torch::equal(sampled_ids(problem, 0.0, 3),
                           std::get<0>(torch::_unique(problem.labels, /*sorted=*/true))));
  EXPECT_TRUE(torch::equal(sampled_ids(problem, 0.0, 3), sampled_ids(problem, 0.0, 4)));
}

TEST_F(HeadSampledTest, RowsThatTakeNoPartKeepEveryBit) {
  const auto problem = mixed_problem(8, 400, 24, 92);
  for (const auto storage : {at::kFloat, at::kBFloat16}) {
    auto head_options = options(0.1);
    head_options.storage = storage;
    ScaledHead head(problem, head_options, *communicator_);
    model::HeadSgd sgd(head.head().weight(), head.head().first_class(), {});
    auto times = torch::zeros({400}, torch::kLong);
    for (std::uint64_t step = 0; step < 5; ++step) {
      const auto weight = head.head().weight().clone();
      const auto momentum = sgd.momentum().clone();
      (void)head.step({.key = step, .centre_gradients = CentreGradients::kDefer});
      sgd.begin_step({0.1, {}}, step);
      head.head().apply(sgd);

      auto sampled = torch::zeros({400}, torch::kBool);
      sampled.index_fill_(0, sampled_ids(problem, 0.1, step), true);
      times += sampled.to(torch::kLong);
      const auto own = head.own_classes(sampled);
      const auto changed = (head.head().weight() != weight).any(1).cpu();
      const auto momentum_changed = (sgd.momentum() != momentum).any(1).cpu();
      // Rounding to bfloat16 may leave all of a row's small updates out; that no other row changes
      // is what counts.
      EXPECT_FALSE(torch::logical_and(changed, own.logical_not()).any().item<bool>())
          << "step " << step;
      EXPECT_FALSE(torch::logical_and(momentum_changed, own.logical_not()).any().item<bool>())
          << "step " << step;
      if (storage == at::kFloat) {
        EXPECT_TRUE(torch::equal(torch::logical_and(changed, momentum_changed), own))
            << "step " << step;
      }
    }
    ASSERT_GT((times > 1).sum().item<std::int64_t>(), 8)
        << "no row came twice: momenta show nothing";
  }
}

TEST_F(HeadSampledTest, RowsThatTakePartMoveAsSgdSays) {
  const auto problem = mixed_problem(8, 400, 24, 93);
  ScaledHead head(problem, options(0.2), *communicator_);
  model::HeadSgd sgd(head.head().weight(), head.head().first_class(), {});
  auto w = head.head().weight().cpu().to(torch::kDouble);
  auto v = torch::zeros_like(w);
  for (std::uint64_t step = 0; step < 4; ++step) {
    KeptGradients kept(head.head().weight());
    (void)head.step({.key = step, .centre_gradients = CentreGradients::kDefer});
    head.head().apply(kept);
    (void)head.step({.key = step, .centre_gradients = CentreGradients::kDefer});
    sgd.begin_step({0.05, {}}, step);
    head.head().apply(sgd);
    const auto part = (kept.times == 1).unsqueeze(1);
    v = torch::where(part, 0.9 * v + kept.whole + 5e-4 * w, v);
    w = torch::where(part, w - 0.05 * v, w);
  }
  EXPECT_LE(distance(head.head().weight(), w, largest(w) + 1e-30), 1e-5);
  EXPECT_LE(distance(sgd.momentum(), v, largest(v) + 1e-30), 1e-5);
}

TEST_F(HeadSampledTest, WhatItCannotDoIsAnError) {
  const auto problem = mixed_problem(8, 400, 24, 94);
  ScaledHead head(problem, options(0.2), *communicator_);
  EXPECT_THROW((void)head.step(), c10::Error);
  (void)head.step({.centre_gradients = CentreGradients::kDefer});
  EXPECT_THROW((void)head.step({.centre_gradients = CentreGradients::kDefer}), c10::Error);
  head.head().drop_pending();
  EXPECT_NO_THROW((void)head.step({.centre_gradients = CentreGradients::kDefer}));
}

}  // namespace
}  // namespace diffprob::tests

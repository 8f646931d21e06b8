// Which places of an epoch train.prune leaves out, on any number of ranks.
#include "launch/train/dynamics/epoch_pruning.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "data/random/keyed_random.h"
#include "tests/data/memory_set.h"
#include "tests/support/mpi_world.h"

namespace diffprob::launch {
namespace {

constexpr std::int64_t kImages = 600, kBatch = 16;
constexpr double kRatio = 0.4;

Config config_of(prune::EpochPruningOptions::Rule rule) {
  Config config;
  config.device = dist::DeviceRequest::kCpu;
  config.train.batch_size = kBatch;
  config.train.epochs = 1000;
  config.train.epoch_pruning = {rule, kRatio, 0.875};
  return config;
}

/// Every third sample is easy; sample 1 was in no epoch.
bool is_easy(std::int64_t sample) {
  return sample % 3 == 0 && sample != 1;
}
prune::DynamicsState dynamics_of(const Runtime& runtime) {
  prune::DynamicsState state(prune::samples_of_rank(kImages, runtime.rank(), runtime.world_size()),
                             2);
  for (std::int64_t i = state.range.first; i < state.range.last; ++i) {
    const auto row = static_cast<std::size_t>(i - state.range.first);
    state.visits[row] = i == 1 ? 0 : 1;
    state.last_probability[row] = is_easy(i) ? 0.9F : 0.2F;
  }
  return state;
}

/// Easy samples are left out with probability kRatio and count 1 / (1 - kRatio) otherwise; so on
/// average each sample counts once. Over 400 epochs the means are within five deviations of that.
TEST(EpochPruning, EverySampleCountsOnceOnAverage) {
  const Config config = config_of(prune::EpochPruningOptions::Rule::kInfoBatch);
  Runtime runtime(tests::mpi(), config);
  const auto set = std::make_shared<data::test::MemorySet>(kImages);
  EpochPruning pruning(config, set, 9, runtime);
  const auto dynamics = dynamics_of(runtime);
  constexpr std::int64_t kEpochs = 400;
  std::vector<double> weight(kImages);
  for (std::int64_t epoch = 1; epoch <= kEpochs; ++epoch) {
    const data::ShuffledPlan whole(kImages, kBatch, 9, epoch, runtime.rank(), runtime.world_size());
    const auto kept = pruning.begin_epoch(epoch, whole, dynamics);
    ASSERT_TRUE(kept);
    std::vector<std::int64_t> samples;
    for (std::int64_t n = 0; n < kept->count(); ++n)
      samples.push_back(whole.sample_at(kept->place(n)));
    const at::Tensor weights = pruning.weights_of(at::tensor(samples, at::kLong));
    for (std::size_t k = 0; k < samples.size(); ++k)
      weight[static_cast<std::size_t>(samples[k])] +=
          weights.const_data_ptr<float>()[k] / static_cast<double>(kEpochs);
  }
  const double deviation = std::sqrt(kRatio / (1 - kRatio) / kEpochs);
  for (std::int64_t i = 0; i < kImages; ++i) {
    const double found = weight[static_cast<std::size_t>(i)];
    if (is_easy(i))
      EXPECT_NEAR(found, 1, 5 * deviation) << i;
    else
      EXPECT_NEAR(found, 1, 1e-6) << i;
  }
}

/// The same places on every rank, and those of one rank alone.
TEST(EpochPruning, DecidesTheSameForAnyRanks) {
  for (const auto rule : {prune::EpochPruningOptions::Rule::kInfoBatch,
                          prune::EpochPruningOptions::Rule::kIdentity}) {
    const Config config = config_of(rule);
    Runtime runtime(tests::mpi(), config);
    const auto set = std::make_shared<data::test::MemorySet>(kImages);
    EpochPruning pruning(config, set, 9, runtime);
    const data::ShuffledPlan whole(kImages, kBatch, 9, 3, runtime.rank(), runtime.world_size());
    const auto kept = pruning.begin_epoch(3, whole, dynamics_of(runtime));
    ASSERT_TRUE(kept);
    std::vector<std::int64_t> places;
    for (std::int64_t n = 0; n < kept->count(); ++n) places.push_back(kept->place(n));
    const std::uint64_t key =
        data::combine_key(data::combine_key(9, data::key_of_name("train.prune")), std::uint64_t{3});
    std::vector<std::int64_t> wanted;
    for (std::int64_t place = 0; place < kImages; ++place) {
      data::KeyedRandom random(data::combine_key(key, static_cast<std::uint64_t>(place)));
      if (!is_easy(whole.sample_at(place)) || random.uniform() >= static_cast<float>(kRatio))
        wanted.push_back(place);
    }
    EXPECT_EQ(places, wanted);
  }
}

TEST(EpochPruning, WholeEpochsHaveNoWeights) {
  const Config config = config_of(prune::EpochPruningOptions::Rule::kInfoBatch);
  Runtime runtime(tests::mpi(), config);
  EpochPruning pruning(config, std::make_shared<data::test::MemorySet>(kImages), 9, runtime);
  const data::ShuffledPlan whole(kImages, kBatch, 9, 0, runtime.rank(), runtime.world_size());
  for (const std::int64_t epoch : {0, 875, 999}) {
    EXPECT_FALSE(pruning.begin_epoch(epoch, whole, dynamics_of(runtime)));
    EXPECT_FALSE(pruning.weights_of(at::arange(4)).defined());
  }
}

}  // namespace
}  // namespace diffprob::launch

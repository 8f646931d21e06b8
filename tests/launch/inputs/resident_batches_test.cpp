// Images that stay in memory of the device: their batches are those of the loader, bit for bit.
#include "launch/inputs/resident_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "data/loading/weighted_sampler.h"
#include "launch/inputs/training_data.h"
#include "tests/data/memory_set.h"
#include "tests/support/mpi_world.h"
#include "tests/support/test_device.h"

namespace diffprob::launch {
namespace {

using data::test::MemorySet;
using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr std::int64_t kBatch = 16;

Config small_config() {
  Config config;
  config.device = tests::test_device_request();
  config.train.batch_size = kBatch;
  return config;
}

class Resident : public ::testing::Test {
 protected:
  [[nodiscard]] data::LoaderOptions options(int side = data::test::kSide) const {
    data::LoaderOptions options = loader_options(config_, runtime_);
    options.image_size = side;
    return options;
  }
  [[nodiscard]] data::PassOptions pass(const data::Dataset& set) const {
    return {set.size(), kBatch, 11, 1, runtime_.rank(), runtime_.world_size()};
  }
  /// The message of the error, the same on all ranks; empty: none.
  std::string complaint(const std::shared_ptr<const data::Dataset>& set) {
    try {
      const ResidentImages images(set, options(), runtime_);
    } catch (const data::DataError& error) {
      const std::string first = runtime_.control().broadcast(error.what(), 0);
      EXPECT_EQ(first, error.what());
      return error.what();
    }
    return "";
  }
  void expect_same(data::BatchStream& found, data::BatchStream& wanted,
                   const std::string& what) const {
    data::Batch a, b;
    std::int64_t batches = 0;
    for (; wanted.next(b); ++batches) {
      ASSERT_TRUE(found.next(a)) << what << ", batch " << batches;
      EXPECT_EQ(a.images.device(), runtime_.device());
      EXPECT_EQ(a.labels.device(), runtime_.device());
      EXPECT_TRUE(a.indices.is_cpu());
      EXPECT_TRUE(a.images.is_contiguous());
      EXPECT_TRUE(at::equal(a.images.cpu(), b.images)) << what << ", batch " << batches;
      EXPECT_TRUE(at::equal(a.labels.cpu(), b.labels)) << what << ", batch " << batches;
      EXPECT_TRUE(at::equal(a.indices, b.indices)) << what << ", batch " << batches;
    }
    EXPECT_FALSE(found.next(a)) << what;
    EXPECT_GT(batches, 0) << what;
  }

  Config config_ = small_config();
  Runtime runtime_{tests::mpi(), config_};
};

TEST_F(Resident, AllImagesInTheirOrderEachDecodedOnce) {
  constexpr int kSide = 112;  // at which this set is two chunks, the second a partial one
  const auto set = std::make_shared<MemorySet>(1000);
  const ResidentImages resident(set, options(kSide), runtime_);
  const auto reads = runtime_.control().all_reduce(std::int64_t{set->reads}, dist::ReduceOp::kSum);
  data::Loader loader(set, std::make_shared<data::SequentialPlan>(set->size(), set->size(), 0, 1),
                      options(kSide));
  data::Batch all;
  ASSERT_TRUE(loader.next(all));

  EXPECT_EQ(resident.images().device(), runtime_.device());
  EXPECT_TRUE(at::equal(resident.images().cpu(), all.images));
  EXPECT_EQ(reads, set->size());
}

TEST_F(Resident, BatchesAreThoseOfTheLoader) {
  const auto set = std::make_shared<MemorySet>(70);
  const auto images = std::make_shared<ResidentImages>(set, options(), runtime_);
  const auto weights = std::make_shared<data::AliasTable>(data::class_size_weights(*set, 0.5));
  const auto classes = std::make_shared<data::ClassIndex>(*set);
  const std::vector<std::pair<std::string, std::shared_ptr<const data::BatchPlan>>> plans = {
      {"uniform", data::test::train_plan(*set, kBatch, runtime_.rank(), runtime_.world_size(), 1)},
      {"weighted", std::make_shared<data::WeightedPlan>(weights, pass(*set))},
      {"balanced", std::make_shared<data::ClassBalancedPlan>(classes, pass(*set))},
      {"in order", std::make_shared<data::SequentialPlan>(set->size(), kBatch, runtime_.rank(),
                                                          runtime_.world_size())}};
  for (const auto& [name, plan] : plans) {
    for (const bool flip : {false, true}) {
      for (const std::int64_t first : {0, 2}) {
        data::LoaderOptions with_flip = options();
        with_flip.flip = flip;
        data::Loader loader(set, plan, with_flip, first);
        ResidentBatches batches(images, set, plan, flip, first);
        expect_same(batches, loader,
                    name + (flip ? ", flipped" : "") + " from " + std::to_string(first));
      }
    }
  }
}

TEST_F(Resident, StreamOutlivesWhoMadeTheImages) {
  const auto set = std::make_shared<MemorySet>(40);
  const auto plan = data::test::train_plan(*set, kBatch, runtime_.rank(), runtime_.world_size());
  auto images = std::make_shared<ResidentImages>(set, options(), runtime_);
  ResidentBatches batches(std::exchange(images, nullptr), set, plan, false);
  data::Loader loader(set, plan, options());
  expect_same(batches, loader, "after");
}

TEST_F(Resident, UnreadableImageIsReplaced) {
  const auto set = std::make_shared<MemorySet>(40);
  set->images[5].resize(10);
  set->unreadable = 33;
  config_.data.loader.on_corrupt = data::OnCorrupt::kReplace;
  const auto plan = data::test::train_plan(*set, kBatch, runtime_.rank(), runtime_.world_size());
  const auto images = std::make_shared<ResidentImages>(set, options(), runtime_);
  ResidentBatches batches(images, set, plan, false);
  data::Loader loader(set, plan, options());

  EXPECT_EQ(images->images()[5].max().item<int>(), 0);
  expect_same(batches, loader, "replaced");
}

TEST_F(Resident, UnreadableImageIsTheSameErrorOnAllRanks) {
  const auto set = std::make_shared<MemorySet>(40);
  set->unreadable = 5;  // the share of rank 0
  EXPECT_THAT(complaint(set), EndsWith("memory record 5: disk on fire"));
  set->unreadable = 39;  // of the last rank
  EXPECT_THAT(complaint(set), EndsWith("memory record 39: disk on fire"));
  set->unreadable = -1;
  EXPECT_EQ(complaint(set), "");
}

/// Says that it has so many images.
class LargeSet final : public data::Dataset {
 public:
  [[nodiscard]] std::int64_t size() const override { return std::int64_t{1} << 40; }
  [[nodiscard]] std::int64_t num_classes() const override { return 2; }
  [[nodiscard]] std::int64_t label(std::int64_t /*index*/) const override { return 0; }
  void read(std::int64_t /*index*/, std::vector<std::byte>& /*bytes*/) const override {}
  [[nodiscard]] std::string describe(std::int64_t /*index*/) const override { return ""; }
  [[nodiscard]] std::string fingerprint() const override { return "large"; }
};

TEST_F(Resident, MemoryThatTheDeviceLacksIsAnError) {
  const std::string message = complaint(std::make_shared<LargeSet>());
  EXPECT_THAT(
      message,
      HasSubstr(
          "data.resident_gib: 1099511627776 decoded images need 1899956092796928 bytes, which " +
          runtime_.device().str() + " does not have"));
}

TEST_F(Resident, TrainingDataUsesThemWhenTheyFit) {
  const auto set = std::make_shared<MemorySet>(40);
  const double needed = static_cast<double>(ResidentImages::bytes_for(40, 112)) / (1 << 30);
  const auto batches_of = [&](const Config& config, bool resident) {
    TrainingData data(config, set, 1, runtime_);
    auto batches = data.loader(1, 0);
    EXPECT_EQ(dynamic_cast<ResidentBatches*>(batches.get()) != nullptr, resident);
    return batches;
  };
  Config fits = config_;
  fits.data.resident_gib = needed;
  Config too_small = config_;
  too_small.data.resident_gib = needed * 0.99;
  Config augmented = fits;
  augmented.augment.blur = 0.5;

  (void)batches_of(augmented, false);
  const auto plain = batches_of(config_, false);
  const auto small = batches_of(too_small, false);
  const auto resident = batches_of(fits, true);
  expect_same(*resident, *plain, "training data");
}

}  // namespace
}  // namespace diffprob::launch

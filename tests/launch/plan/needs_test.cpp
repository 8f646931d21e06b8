#include "launch/plan/needs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launch/plan/needs_text.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kMebibyte = 1 << 20;

NetworkMemory network(const std::string& name) {
  return network_memory({.name = name});
}

/// Tensors of iresnet50 on one H100 with 93,431 classes in fp16, launch/scaling/SCALING.md: 8,094
/// MiB alive at the peak with 256 images; reserved, which is more, 5,390 with 128 and 17,614 with
/// 512.
TEST(Needs, AreNearWhatWasMeasuredOnAGpu) {
  const NetworkMemory memory = network("iresnet50");
  EXPECT_EQ(memory.parameters, 43590848);
  const auto mebibytes_of = [&](std::int64_t batch) {
    Config config;
    config.train.batch_size = batch;
    return needs_of(config, memory, {5179510, 93431}, 1).fp16.sum() / kMebibyte;
  };
  EXPECT_NEAR(mebibytes_of(256), 8094, 0.15 * 8094);
  EXPECT_NEAR(mebibytes_of(128), 5390, 0.25 * 5390);
  EXPECT_NEAR(mebibytes_of(512), 17614, 0.25 * 17614);
}

TEST(Needs, AreDividedAmongTheRanks) {
  const NetworkMemory memory{1000, 10, 100};
  Config config;
  config.train.batch_size = 512;
  config.train.epochs = 20;
  config.data.cache_gib = 0;
  const DataSize data{10000, 100};
  const Needs one = needs_of(config, memory, data, 1);
  const Needs four = needs_of(config, memory, data, 4);
  EXPECT_EQ(one.rows, 512);
  EXPECT_EQ(four.rows, 128);
  EXPECT_EQ(one.classes, 100);
  EXPECT_EQ(four.classes, 25);
  EXPECT_EQ(one.steps_per_epoch, 19);
  EXPECT_EQ(one.fp32.network, 4 * (3 * 1000 + 10));  // weights, gradients, momenta
  EXPECT_EQ(one.fp32.activations, 512 * 100);
  EXPECT_EQ(four.fp16.activations, 128 * 50);
  EXPECT_EQ(one.fp32.head, 100 * 512 * 8 + 3 * 512 * 512 * 4 + 512 * 100 * 4);
  EXPECT_EQ(four.fp32.head, 25 * 512 * 8 + 3 * 512 * 512 * 4 + 512 * 25 * 4);
  EXPECT_EQ(one.checkpoint, 4 * (2 * 1000 + 10) + 2 * 4 * 100 * 512);
  EXPECT_EQ(one.checkpoints, 3);
  EXPECT_EQ(one.head_traffic, 0);
  EXPECT_EQ(one.gradient_traffic, 0);
  EXPECT_EQ(four.gradient_traffic, 2 * 0.75 * 4 * 1000);
  EXPECT_EQ(four.head_traffic, 0.75 * 512 * (4 * 512 + 16 + 4 * 512 + 64));

  config.train.accumulate = 4;
  EXPECT_EQ(needs_of(config, memory, data, 4).rows, 32);
}

TEST(Needs, OfWhatKeysAddAndSave) {
  const NetworkMemory memory{1000, 0, 100};
  const DataSize data{10000, 100};
  Config config;
  config.data.cache_gib = 1;
  EXPECT_EQ(needs_of(config, memory, data, 1).decoded_cache, 10000.0 * 37632);
  config.data.resident_gib = 1;
  EXPECT_EQ(needs_of(config, memory, data, 1).decoded_cache, 0);
  EXPECT_EQ(needs_of(config, memory, data, 1).fp32.images, 10000.0 * 37632);
  config.train.optimizer = model::OptimizerKind::kAdamW;
  config.train.ema_decay = 0.999;
  EXPECT_EQ(needs_of(config, memory, data, 1).fp32.network, 4 * 5 * 1000);
  config.train.keep_every_epochs = 10;
  config.train.best_set = "lfw";
  EXPECT_EQ(needs_of(config, memory, data, 1).checkpoints, 2 + 1 + 3 + 1);
}

TEST(Needs, WithoutADataSetAreThoseOfTheNetwork) {
  Config config;
  const Needs needs = needs_of(config, {1000, 0, 100}, {}, 8);
  EXPECT_EQ(needs.steps_per_epoch, 0);
  const std::string text = needs_text("train", config, needs, {}, 8);
  EXPECT_THAT(text, HasSubstr("not known"));
  EXPECT_THAT(text, Not(HasSubstr("an epoch")));
  EXPECT_THAT(
      needs_text("run", config, needs_of(config, {1000, 0, 100}, {10240, 10}, 8), {10240, 10}, 8),
      HasSubstr("20 an epoch, 680 in 34 epochs"));
}

TEST(Needs, OfARecomputedNetworkAreSmaller) {
  model::BackboneOptions options{.name = "tiny"};
  const std::int64_t plain = network_memory(options).bytes_per_image;
  options.recompute = true;
  EXPECT_LT(network_memory(options).bytes_per_image, plain * 3 / 4);
}

}  // namespace
}  // namespace diffprob::launch

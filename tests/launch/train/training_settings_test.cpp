#include <gtest/gtest.h>

#include "data/files/sha256.h"
#include "launch/config/config.h"
#include "launch/train/train.h"

namespace diffprob::launch {
namespace {

// The text is compared as a whole with that of earlier stages and checkpoints: a key more, another
// order or another default makes every run that was begun before look different. The program
// that writes this text for the defaults took over stages of 87a60c7.
TEST(TrainingSettings, AreThoseOfEarlierRuns) {
  EXPECT_EQ(data::sha256_hex(training_settings(Config())),
            "70061dd384ec6fc5e59e190d0e1436d7ed39c824e8ec579ab8f30bf1a6c002db")
      << training_settings(Config());
}

TEST(TrainingSettings, LeaveOutKeysThatWeightsDoNotDependOn) {
  Config config;
  config.train.deterministic = true;
  config.train.log_every = 7;
  config.train.eval_every_steps = 7;
  EXPECT_EQ(training_settings(config), training_settings(Config()));
}

TEST(TrainingSettings, NameNewerKeysWhereTheyAreNotTheDefault) {
  Config config;
  config.train.schedule.warmup_shape = model::WarmupShape::kEpochs;
  config.train.schedule.warmup_power = 2;
  EXPECT_EQ(training_settings(config),
            training_settings(Config()) + "train.warmup_shape=\"epochs\"\ntrain.warmup_power=2\n");
  config = {};
  config.model.head.margin.preset = model::LossPreset::kArcfaceTorch;
  EXPECT_NE(training_settings(config).find("model.loss_preset=\"arcface_torch\"\n"),
            std::string::npos);
}

TEST(TrainingSettings, NameTheOrderOfColoursWhereAWeightFileIsRead) {
  Config config;
  config.model.channel_order = model::ChannelOrder::kBgr;
  EXPECT_EQ(training_settings(config), training_settings(Config()));
  config.train.init = "a.ckpt";
  EXPECT_NE(training_settings(config).find("model.channel_order=\"bgr\""), std::string::npos)
      << training_settings(config);
}

}  // namespace
}  // namespace diffprob::launch

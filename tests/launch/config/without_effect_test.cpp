#include "launch/config/without_effect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "launch/config/fields.h"

namespace diffprob::launch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> lines_of(const std::string& command,
                                  const std::vector<Override>& overrides,
                                  const std::string& text = "") {
  return without_effect(command, parse_config(text.empty() ? "" : "my.yaml", text, overrides));
}

TEST(WithoutEffect, DefaultsHaveTheirEffect) {
  for (const auto* command : {"run", "sweep", "train", "score", "prune", "eval"})
    EXPECT_THAT(lines_of(command, {}), IsEmpty()) << command;
}

TEST(WithoutEffect, AFileThatTheProgramWroteIsSilentWhateverTheCommand) {
  const std::string dumped = dump_config(Config(), DumpStyle::kPlain);
  for (const auto* command : {"run", "sweep", "train", "score", "prune", "eval"})
    EXPECT_THAT(lines_of(command, {}, dumped), IsEmpty()) << command;
}

TEST(WithoutEffect, FlagsOfAnotherCommandAreNamedWithWhatToUse) {
  EXPECT_THAT(lines_of("train", {{"model.checkpoint", "runs/a"}}),
              ElementsAre(AllOf(HasSubstr("--model.checkpoint has no effect: train does not read"),
                                HasSubstr("train.init"))));
  EXPECT_THAT(lines_of("train", {{"prune.keep_ratio", "0.3"}}),
              ElementsAre(HasSubstr("it is read by run, prune")));
  EXPECT_THAT(lines_of("sweep", {{"prune.method", "ccs"}}),
              ElementsAre(HasSubstr("sweep.methods")));
  EXPECT_THAT(lines_of("score", {{"train.lr", "1"}}), ElementsAre(HasSubstr("score does not")));
  EXPECT_THAT(lines_of("eval", {{"score.fold", "false"}}),
              ElementsAre(HasSubstr("it is read by run, sweep, score")));
}

TEST(WithoutEffect, RunReadsIjbButNoFilesOfAnEvaluation) {
  EXPECT_THAT(lines_of("run", {{"eval.ijb", "IJBC"}, {"eval.ijb_variants", "F1N1D1"}}), IsEmpty());
  EXPECT_THAT(lines_of("run", {{"eval.ijb_variants", "F1N1D1"}}),
              ElementsAre(HasSubstr("eval.ijb is not given")));
  EXPECT_THAT(lines_of("sweep", {{"eval.ijb", "IJBC"}}),
              ElementsAre(HasSubstr("it is read by run, eval, data leaks")));
  EXPECT_THAT(lines_of("run", {{"eval.scores", "s.csv"}}),
              ElementsAre(HasSubstr("run does not read it; it is read by eval")));
  EXPECT_THAT(lines_of("eval", {{"eval.scores", "s.csv"}, {"eval.roc", "r.csv"}}), IsEmpty());
}

TEST(WithoutEffect, KeysOfANetworkTrainedElsewhereBelongTogether) {
  const Override head{"model.head", "header.pth"}, checkpoint{"model.checkpoint", "backbone.pth"},
      loss{"model.loss", "arcface"}, init{"train.init", "backbone.pth"};
  EXPECT_THAT(lines_of("score", {checkpoint, head, loss}), IsEmpty());
  EXPECT_THAT(lines_of("score", {checkpoint, loss}),
              ElementsAre(HasSubstr("--model.loss has no effect: score reads it with model.head")));
  EXPECT_THAT(lines_of("run", {checkpoint, head}), IsEmpty());
  EXPECT_THAT(
      lines_of("run", {checkpoint}),
      ElementsAre(AllOf(HasSubstr("is not given, which with it replaces the first training"),
                        HasSubstr("train.init"))));
  EXPECT_THAT(lines_of("run", {head}), ElementsAre(HasSubstr("model.checkpoint is not given")));
  EXPECT_THAT(lines_of("train", {init, head}), IsEmpty());
  EXPECT_THAT(lines_of("train", {head}), ElementsAre(HasSubstr("train.init is not given")));
  EXPECT_THAT(lines_of("eval", {head}), ElementsAre(HasSubstr("it is read by run, train, score")));
  EXPECT_THAT(lines_of("train", {}, "model: {checkpoint: a.pth, head: [b.pth]}\n"), IsEmpty());
}

TEST(WithoutEffect, CentresFromEmbeddingsNeedNoHead) {
  const Override checkpoint{"model.checkpoint", "backbone.pth"},
      centroids{"score.head", "centroids"}, file{"score.embeddings", "embeddings.h5"};
  EXPECT_THAT(lines_of("score", {checkpoint, centroids, {"model.scale", "32"}}), IsEmpty());
  EXPECT_THAT(lines_of("run", {checkpoint, centroids}), IsEmpty());
  EXPECT_THAT(lines_of("score", {centroids, file}), IsEmpty());
  EXPECT_THAT(
      lines_of("score", {checkpoint, centroids, file}),
      ElementsAre(HasSubstr("--model.checkpoint has no effect: score.embeddings is given")));
  EXPECT_THAT(lines_of("score", {checkpoint, centroids, {"model.head", "header.pth"}}),
              ElementsAre(HasSubstr("--model.head has no effect: score.head is centroids")));
  EXPECT_THAT(
      lines_of("score", {checkpoint, {"score.keep_gib", "1"}}),
      ElementsAre(HasSubstr("--score.keep_gib has no effect: score.head is not centroids")));
  EXPECT_THAT(lines_of("train", {{"embed.type", "float16"}}),
              ElementsAre(HasSubstr("it is read by embed")));
}

TEST(WithoutEffect, AFileServesAllCommands) {
  EXPECT_THAT(lines_of("train", {}, "prune:\n  keep_ratio: 0.3\nscore:\n  fold: false\n"),
              IsEmpty());
}

TEST(WithoutEffect, KeysOfAnotherLossScheduleOrOptimizer) {
  EXPECT_THAT(lines_of("train", {{"model.m3", "0.4"}}),
              ElementsAre("--model.m3 has no effect: model.loss is cosface; it is for combined"));
  EXPECT_THAT(lines_of("train", {}, "model:\n  m3: 0.4\n"), ElementsAre(HasSubstr("model.m3 has")));
  EXPECT_THAT(lines_of("train", {{"model.loss", "combined"}, {"model.m3", "0.4"}}), IsEmpty());
  EXPECT_THAT(lines_of("run", {{"model.loss", "combined"}, {"model.margin", "0.4"}}),
              ElementsAre(HasSubstr("m1, m2 and m3")));
  EXPECT_THAT(lines_of("train", {{"model.adaface_h", "0.4"}}), ElementsAre(HasSubstr("adaface")));
  const auto preset_of = [](const char* loss, const char* preset) {
    return lines_of("train", {{"model.loss", loss}, {"model.loss_preset", preset}});
  };
  EXPECT_THAT(preset_of("arcface", "arcface_torch"), IsEmpty());
  EXPECT_THAT(preset_of("adaface", "arcface_torch"), IsEmpty());
  EXPECT_THAT(preset_of("cosface", "arcface_torch"), ElementsAre(HasSubstr("CVLface")));
  EXPECT_THAT(preset_of("arcface", "reference"), ElementsAre(HasSubstr("paper's code")));
  EXPECT_THAT(
      lines_of("train", {{"model.loss", "combined"},
                         {"model.loss_preset", "arcface_torch"},
                         {"model.m2", "0.3"},
                         {"model.m3", "0.4"}}),
      ElementsAre(HasSubstr("model.m2 has no effect: with model.loss_preset=arcface_torch")));
  EXPECT_THAT(lines_of("train", {{"train.warmup_power", "2"}}),
              ElementsAre(HasSubstr("train.warmup_epochs is 0")));
  EXPECT_THAT(lines_of("train", {{"train.warmup_power", "2"}, {"train.warmup_epochs", "1"}}),
              IsEmpty());
  EXPECT_THAT(lines_of("train", {{"train.lr_power", "3"}}),
              ElementsAre(HasSubstr("train.schedule is milestones")));
  EXPECT_THAT(lines_of("train", {{"train.adam_beta1", "0.8"}}),
              ElementsAre(HasSubstr("train.optimizer is sgd")));
  EXPECT_THAT(lines_of("train", {{"train.optimizer", "adamw"}, {"train.adam_beta1", "0.8"}}),
              IsEmpty());
  EXPECT_THAT(lines_of("train", {{"model.backbone", "tiny"}, {"model.dropout", "0.1"}}),
              ElementsAre(HasSubstr("only the iresnet networks")));
  EXPECT_THAT(lines_of("train", {{"model.backbone", "tiny"}, {"model.drop_path", "0.1"}}),
              ElementsAre(HasSubstr("only the vision transformers")));
  EXPECT_THAT(lines_of("train", {{"model.backbone", "vit_t"}, {"model.mask_ratio", "0.05"}}),
              IsEmpty());
}

TEST(WithoutEffect, KeysOfAnotherMethodOrOfCleaning) {
  EXPECT_THAT(lines_of("prune", {{"prune.ccs_beta", "0.2"}}),
              ElementsAre(HasSubstr("prune.method is diffprob")));
  EXPECT_THAT(lines_of("prune", {{"prune.easy_share", "0.5"}, {"prune.method", "balanced"}}),
              ElementsAre(HasSubstr("prune.method is balanced")));
  EXPECT_THAT(lines_of("prune", {{"prune.easy_share", "0.5"}, {"prune.method", "balanced_easy"}}),
              IsEmpty());
  EXPECT_THAT(lines_of("prune", {{"prune.threshold", "0.2"}, {"prune.keep_ratio", "0.2"}}),
              ElementsAre(HasSubstr("prune.threshold is given")));
  EXPECT_THAT(lines_of("prune", {{"prune.clean", "false"}, {"prune.clean_margin", "1"}}),
              ElementsAre(HasSubstr("prune.clean is false")));
  EXPECT_THAT(lines_of("prune", {{"prune.method", "none"}, {"prune.keep_ratio", "0.7"}}),
              ElementsAre(HasSubstr("prune.method is none")));
}

TEST(WithoutEffect, MilestonesThatNoEpochReaches) {
  EXPECT_THAT(lines_of("train", {{"train.epochs", "20"}}),
              ElementsAre(AllOf(HasSubstr("27, 31 are not reached within train.epochs=20"),
                                HasSubstr("falls 1 time;"))));
  EXPECT_THAT(lines_of("train", {{"train.epochs", "2"}, {"train.milestones", ""}}), IsEmpty());
  EXPECT_THAT(lines_of("train", {{"train.epochs", "2"}, {"train.schedule", "cosine"}}), IsEmpty());
  EXPECT_THAT(lines_of("prune", {}, "train:\n  epochs: 2\n"), IsEmpty());
}

TEST(WithoutEffect, EveryKeyOfTheConfigurationIsReadBySomeCommand) {
  Config config;
  for (const Field& field : config_fields(config)) {
    int readers = 0;
    for (const auto* command : {"run", "sweep", "train", "score", "embed", "prune", "eval",
                                "data dedup", "data leaks", "data overlap"}) {
      Config given;
      given.given = {{field.key, true}};
      bool unread = false;
      for (const std::string& line : without_effect(command, given))
        unread |= line.find(" does not read it") != std::string::npos;
      readers += unread ? 0 : 1;
    }
    EXPECT_GT(readers, 0) << field.key;
  }
}

TEST(WithoutEffect, TheOrderOfColoursIsForWeightFiles) {
  EXPECT_THAT(lines_of("eval", {{"model.channel_order", "bgr"}, {"model.checkpoint", "a.ckpt"}}),
              IsEmpty());
  EXPECT_THAT(lines_of("train", {{"model.channel_order", "bgr"}, {"train.init", "a.ckpt"}}),
              IsEmpty());
  EXPECT_THAT(lines_of("train", {{"model.channel_order", "bgr"}}),
              ElementsAre(HasSubstr("no weight file is read")));
  const std::string checkpoint = ::testing::TempDir() + "without_effect_checkpoint";
  std::filesystem::create_directories(checkpoint);
  std::ofstream(checkpoint + "/manifest.json") << "{}";
  EXPECT_THAT(
      lines_of("export", {{"model.channel_order", "bgr"}, {"model.checkpoint", checkpoint}}),
      ElementsAre(HasSubstr(checkpoint + " is a checkpoint of this program")));
  EXPECT_THAT(lines_of("prune", {{"model.channel_order", "bgr"}}),
              ElementsAre(HasSubstr("prune does not read it")));
}

}  // namespace
}  // namespace diffprob::launch

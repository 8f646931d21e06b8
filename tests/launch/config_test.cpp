#include "launch/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "launch/config_fields.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;

std::string problems_of(const std::string& text, const std::vector<Override>& overrides = {}) {
  try {
    (void)parse_config("my.yaml", text, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Config, EmptyFileGivesTheDefaults) {
  EXPECT_EQ(dump_config(parse_config("", "", {}), DumpStyle::kPlain), dump_config(Config(), DumpStyle::kPlain));
}

TEST(Config, CommandLineBeatsFileBeatsDefault) {
  const Config config = parse_config("my.yaml", "train:\n  epochs: 7\n  lr: 0.2\n", {{"train.epochs", "9"}});

  EXPECT_EQ(config.train.epochs, 9);
  EXPECT_EQ(config.train.lr, 0.2);
  EXPECT_EQ(config.train.momentum, 0.9);
}

TEST(Config, ListsComeAsYamlOrWithCommas) {
  const Config config = parse_config("my.yaml", "train:\n  milestones: [3, 4]\n", {{"eval.sets", "a.bin,b.bin"}});

  EXPECT_EQ(config.train.milestones, (std::vector<std::int64_t>{3, 4}));
  EXPECT_EQ(config.eval.sets, (std::vector<std::string>{"a.bin", "b.bin"}));
}

TEST(Config, ReportsAllProblemsWithLineAndSuggestion) {
  const std::string message =
      problems_of("train:\n  batch_siez: 64\n  lr: fast\nmodel:\n  backbone: iresnet5\n", {{"prune.keep_ratio", "1.2"}});

  EXPECT_THAT(message, HasSubstr("4 problems"));
  EXPECT_THAT(message, HasSubstr("my.yaml:2  train.batch_siez: unknown key, did you mean train.batch_size?"));
  EXPECT_THAT(message, HasSubstr("my.yaml:3  train.lr: want a number in [0, 100], got \"fast\""));
  EXPECT_THAT(message, HasSubstr("did you mean iresnet50?"));
  EXPECT_THAT(message, HasSubstr("--prune.keep_ratio: want a number in [0, 1], got \"1.2\""));
}

TEST(Config, ListsOfNumbersAndWordsAreChecked) {
  EXPECT_EQ(parse_config("my.yaml", "sweep:\n  ratios: [0.9, 0.125]\n", {}).sweep.ratios, (std::vector<double>{0.9, 0.125}));
  const std::string message = problems_of("sweep:\n  methods: [diffprob, clean+difprob]\n  ratios: [0.5, 1.5]\n");
  EXPECT_THAT(message, HasSubstr("my.yaml:2  sweep.methods: want a list, each item one of diffprob clean+diffprob"));
  EXPECT_THAT(message, HasSubstr("did you mean clean+diffprob?), not \"clean+difprob\""));
  EXPECT_THAT(message, HasSubstr("my.yaml:3  sweep.ratios: want a list, each item a number in [1e-06, 1], not \"1.5\""));
  EXPECT_THAT(problems_of("sweep:\n  methods: []\n  ratios: [0.5, 0.5]\n"), HasSubstr("sweep.methods: want at least one, got none"));
  EXPECT_THAT(problems_of("sweep:\n  ratios: [0.5, 0.25, 0.5]\n"), HasSubstr("sweep.ratios: 0.5 is there twice"));
}

TEST(Config, RefusesWhatIsNotYamlAndKeysGivenTwice) {
  EXPECT_THAT(problems_of("train: [1, 2\n"), HasSubstr("not YAML"));
  EXPECT_THAT(problems_of("seed: 1\nseed: 2\n"), HasSubstr("given twice"));
  EXPECT_THAT(problems_of("- a\n- b\n"), HasSubstr("want sections and keys"));
  EXPECT_THAT(problems_of("train:\n  lr: nan\n"), HasSubstr("want a number"));
  EXPECT_THAT(problems_of("train: 3\n"), HasSubstr("train: unknown key"));
}

TEST(Config, DumpsReadBackEqual) {
  Config config =
      parse_config("", "", {{"train.lr", "0.1234567890123"}, {"data.train", "a \"quoted\": #path"}, {"eval.sets", "x.bin,y z.bin"}});

  for (const auto style : {DumpStyle::kPlain, DumpStyle::kWithHelp}) {
    const Config again = parse_config("dump.yaml", dump_config(config, style), {});
    EXPECT_EQ(dump_config(again, DumpStyle::kPlain), dump_config(config, DumpStyle::kPlain));
  }
}

TEST(Config, EveryKeyHasAHelpText) {
  Config config;
  for (const auto& field : config_fields(config)) EXPECT_GT(field.help.size(), 5u) << field.key;
}

TEST(Config, ShippedConfigurationsAreRight) {
  const std::string folder = std::string(std::getenv("DIFFPROB_SOURCE_DIR")) + "/launch/configs/";
  for (const char* name : {"quickstart.yaml", "lfw.yaml", "casia_r50_cosface.yaml", "ms1mv2.yaml"}) {
    std::ifstream file(folder + name);
    ASSERT_TRUE(file) << name;
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_NO_THROW((void)parse_config(name, text.str(), {})) << name;
  }
}

}  // namespace
}  // namespace diffprob::launch

#include "launch/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "launch/config/fields.h"
#include "launch/config/help.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string problems_of(const std::string& text, const std::vector<Override>& overrides = {}) {
  try {
    (void)parse_config("my.yaml", text, overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Config, EmptyFileGivesTheDefaults) {
  EXPECT_EQ(dump_config(parse_config("", "", {}), DumpStyle::kPlain),
            dump_config(Config(), DumpStyle::kPlain));
}

TEST(Config, CommandLineBeatsFileBeatsDefault) {
  const Config config =
      parse_config("my.yaml", "train:\n  epochs: 7\n  lr: 0.2\n", {{"train.epochs", "9"}});

  EXPECT_EQ(config.train.epochs, 9);
  EXPECT_EQ(config.train.schedule.base_lr, 0.2);
  EXPECT_EQ(config.train.sgd.momentum, 0.9);
}

TEST(Config, ListsComeAsYamlOrWithCommas) {
  const Config config =
      parse_config("my.yaml", "train:\n  milestones: [3, 4]\n", {{"eval.sets", "a.bin,b.bin"}});

  EXPECT_EQ(config.train.schedule.milestones, (std::vector<std::int64_t>{3, 4}));
  EXPECT_EQ(config.eval.sets, (std::vector<std::string>{"a.bin", "b.bin"}));
}

TEST(Config, ReportsAllProblemsWithLineAndSuggestion) {
  const std::string message =
      problems_of("train:\n  batch_siez: 64\n  lr: fast\nmodel:\n  backbone: iresnet5\n",
                  {{"prune.keep_ratio", "1.2"}});

  EXPECT_THAT(message, HasSubstr("4 problems"));
  EXPECT_THAT(
      message,
      HasSubstr("my.yaml:2  train.batch_siez: unknown key, did you mean train.batch_size?"));
  EXPECT_THAT(message,
              HasSubstr("my.yaml:3  train.lr: expected a number in [0, 100], got \"fast\""));
  EXPECT_THAT(message, HasSubstr("did you mean iresnet50?"));
  EXPECT_THAT(message, HasSubstr("--prune.keep_ratio: expected a number in [0, 1], got \"1.2\""));
}

TEST(Config, BindingOfCpusIsAutoOrNone) {
  EXPECT_EQ(Config().dist.bind, BindCpus::kAuto);
  EXPECT_EQ(parse_config("my.yaml", "dist:\n  bind: none\n", {}).dist.bind, BindCpus::kNone);
  EXPECT_THAT(problems_of("dist:\n  bind: core\n"),
              HasSubstr("my.yaml:2  dist.bind: expected one of auto none"));
}

TEST(Config, ListsOfNumbersAndWordsAreChecked) {
  EXPECT_EQ(parse_config("my.yaml", "sweep:\n  ratios: [0.9, 0.125]\n", {}).sweep.ratios,
            (std::vector<double>{0.9, 0.125}));
  const std::string message =
      problems_of("sweep:\n  methods: [diffprob, clean+difprob]\n  ratios: [0.5, 1.5]\n");
  EXPECT_THAT(
      message,
      HasSubstr(
          "my.yaml:2  sweep.methods: expected a list, each item one of diffprob clean+diffprob"));
  EXPECT_THAT(message, HasSubstr("did you mean clean+diffprob?), not \"clean+difprob\""));
  EXPECT_THAT(message, HasSubstr("my.yaml:3  sweep.ratios: expected a list, each item a number in "
                                 "[1e-06, 1], not \"1.5\""));
  EXPECT_THAT(problems_of("sweep:\n  methods: []\n  ratios: [0.5, 0.5]\n"),
              HasSubstr("sweep.methods: expected at least one, got none"));
  EXPECT_THAT(problems_of("sweep:\n  ratios: [0.5, 0.25, 0.5]\n"),
              HasSubstr("sweep.ratios: 0.5 appears twice"));
}

TEST(Config, ListsOfWordsKeepTheirOrder) {
  const Config config = parse_config("my.yaml", "train:\n  untried_kernels: [own_classes, faces]\n",
                                     {{"sweep.methods", "clean+ccs,random"}});

  EXPECT_EQ(config.train.untried_kernels,
            (std::vector<UntriedKernel>{UntriedKernel::kOwnClasses, UntriedKernel::kFaces}));
  EXPECT_EQ(config.sweep.methods,
            (std::vector<prune::FullMethod>{{prune::Method::kCcs, true},
                                            {prune::Method::kRandom, false}}));
  const std::string dump = dump_config(config, DumpStyle::kPlain);
  EXPECT_THAT(dump, HasSubstr("untried_kernels: [\"own_classes\", \"faces\"]"));
  EXPECT_THAT(dump, HasSubstr("methods: [\"clean+ccs\", \"random\"]"));
}

TEST(Config, RefusesWhatIsNotYamlAndKeysGivenTwice) {
  EXPECT_THAT(problems_of("train: [1, 2\n"), HasSubstr("not YAML"));
  EXPECT_THAT(problems_of("seed: 1\nseed: 2\n"), HasSubstr("given twice"));
  EXPECT_THAT(problems_of("- a\n- b\n"), HasSubstr("expected sections and keys"));
  EXPECT_THAT(problems_of("train:\n  lr: nan\n"), HasSubstr("expected a number"));
  EXPECT_THAT(problems_of("train: 3\n"),
              HasSubstr("train: expected a section with keys, such as train.epochs, got \"3\""));
}

TEST(Config, ValuesOfTheCommandLineAreTakenAsGiven) {
  for (const std::string value :
       {"runs/exp #3", "!x runs/a", "'runs/b'", " runs/e", "&x", "%x", "{a: b}", "a: b", "null",
        "- a", "\"q\"", "back\\slash", "gr\u00fc\u00df"}) {
    const Config config = parse_config("", "", {{"output", value}});
    EXPECT_EQ(config.output, value);
    EXPECT_EQ(parse_config("dump.yaml", dump_config(config, DumpStyle::kPlain), {}).output, value);
  }
  EXPECT_EQ(parse_config("", "", {{"eval.sets", "a #1.bin,b: c.bin"}}).eval.sets,
            (std::vector<std::string>{"a #1.bin", "b: c.bin"}));
  EXPECT_THAT(problems_of("", {{"output", "runs/c\nd"}}),
              HasSubstr("--output: expected text on one line, without control characters, got "
                        "\"runs/c\\x0ad\""));
  EXPECT_THAT(problems_of("output: \"runs/c\\td\"\n"), HasSubstr("without control characters"));
  EXPECT_THAT(problems_of("", {{"output", "runs/\xfc"}}), HasSubstr("expected text in UTF-8"));
  EXPECT_THAT(problems_of("", {{"eval.sets", "[a.bin,b.bin]"}}), HasSubstr("without brackets"));
  EXPECT_TRUE(
      parse_config("", "eval:\n  sets: [a.bin]\n", {{"eval.sets", "[]"}}).eval.sets.empty());
  EXPECT_EQ(parse_config("", "", {{"train.milestones", "[3,4]"}}).train.schedule.milestones,
            (std::vector<std::int64_t>{3, 4}));
}

TEST(Config, PathsAreExpandedInFilesAndOnTheCommandLine) {
  ASSERT_EQ(setenv("HOME", "/home/of me", 1), 0);
  ASSERT_EQ(setenv("FACES", "/faces/$1", 1), 0);
  ASSERT_EQ(unsetenv("NOT_SET"), 0);
  const Config config =
      parse_config("my.yaml", "output: ~/runs/$FACES/x\ndata:\n  train: [\"${FACES}a\", ~/b]\n",
                   {{"eval.sets", "~/a.bin,$HOME/b~.bin"},
                    {"data.kept", "a$$HOME/$"},
                    {"train.best_set", "~/$x"}});

  EXPECT_EQ(config.output, "/home/of me/runs//faces/$1/x");
  EXPECT_EQ(config.data.train, (std::vector<std::string>{"/faces/$1a", "/home/of me/b"}));
  EXPECT_EQ(config.eval.sets,
            (std::vector<std::string>{"/home/of me/a.bin", "/home/of me/b~.bin"}));
  EXPECT_EQ(config.data.kept, "a$HOME/$");
  EXPECT_EQ(config.train.best_set, "~/$x");  // no path
  const Config again = parse_config("dump.yaml", dump_config(config, DumpStyle::kPlain), {});
  EXPECT_EQ(again.data.kept, config.data.kept);
  EXPECT_EQ(again.data.train, config.data.train);

  EXPECT_THAT(
      problems_of("output: $NOT_SET/x\n"),
      HasSubstr("my.yaml:1  output: expected variables that are set in the environment, but "
                "NOT_SET is not"));
  EXPECT_THAT(problems_of("", {{"data.train", "a,${NOT_SET}"}}), HasSubstr("NOT_SET is not"));
  EXPECT_THAT(problems_of("output: ~someone/x\n"), HasSubstr("expected ~/ for your own home"));
  EXPECT_THAT(problems_of("output: ${HOME\n"), HasSubstr("in braces"));
}

TEST(Config, SaysWhatToDoAboutFilesThatAreNoSections) {
  EXPECT_THAT(problems_of("# nothing\n"), HasSubstr("my.yaml: expected sections and keys, but"));
  EXPECT_THAT(problems_of("train:\n\tlr: 0.1\n"), HasSubstr("line 2 is indented by a tab"));
  EXPECT_THAT(problems_of("train: [1, 2]\n"),
              HasSubstr("my.yaml:1  train: expected a section with keys, such as train.epochs, got "
                        "a list"));
  EXPECT_THAT(problems_of("train:\n  learning_rate: 0.1\n"), HasSubstr("did you mean train.lr?"));
  EXPECT_THAT(problems_of("num_workers: 2\n"), HasSubstr("did you mean data.decode_threads?"));
  EXPECT_THAT(problems_of("data:\n  train: [[a]]\n"), HasSubstr("a list of single values"));
}

TEST(Config, DumpsReadBackEqual) {
  Config config = parse_config("", "",
                               {{"train.lr", "0.1234567890123"},
                                {"data.train", "a \"quoted\": #path"},
                                {"eval.sets", "x.bin,y z.bin"}});

  for (const auto style : {DumpStyle::kPlain, DumpStyle::kWithHelp}) {
    const Config again = parse_config("dump.yaml", dump_config(config, style), {});
    EXPECT_EQ(dump_config(again, DumpStyle::kPlain), dump_config(config, DumpStyle::kPlain));
  }
}

TEST(Config, AKeyOfEarlierVersionsIsANoteInAFileAndAProblemOnTheCommandLine) {
  const Config config = parse_config("old.yaml", "score:\n  batch_size: 64\n  margin: 0.1\n", {});
  ASSERT_EQ(config.notes.size(), 1U);
  EXPECT_THAT(
      config.notes[0],
      HasSubstr("old.yaml:2  score.batch_size: no longer used; scores do not depend on the batch"));
  EXPECT_EQ(config.score.margin, 0.1);

  EXPECT_THAT(problems_of("", {{"score.batch_size", "64"}}),
              HasSubstr("--score.batch_size: no longer used"));
}

TEST(Config, EveryKeyHasAHelpText) {
  Config config;
  for (const auto& field : config_fields(config)) EXPECT_GT(field.help.size(), 5u) << field.key;
}

TEST(Config, HelpOfASectionShowsDefaultRangeAndMeaningOfItsKeysAlone) {
  const std::string text = config_help("score");

  EXPECT_THAT(text, HasSubstr("  score.batch_per_rank\n      default 256; a whole number in [1, "
                              "1e+06]\n      images per rank at a time"));
  EXPECT_THAT(text, HasSubstr("  score.fold\n      default true; true or false\n"));
  EXPECT_THAT(text, Not(HasSubstr("\n  train.")));
}

TEST(Config, HelpOfAllSectionsHasEveryKeyOnce) {
  std::string all;
  for (const auto& section : config_sections()) all += config_help(section);
  Config config;
  std::size_t keys = 0;
  for (const auto& field : config_fields(config)) {
    const std::string line = "  " + field.key + "\n      default ";
    const auto found = all.find(line);
    EXPECT_NE(found, std::string::npos) << field.key;
    EXPECT_EQ(all.find(line, found + 1), std::string::npos) << field.key;
    ++keys;
  }
  std::size_t defaults = 0;
  for (auto at = all.find("\n      default "); at != std::string::npos;
       at = all.find("\n      default ", at + 1))
    ++defaults;
  EXPECT_EQ(defaults, keys);
}

TEST(Config, HelpOfOneKeyIsAboutThatKey) {
  EXPECT_EQ(config_help("score.fold"),
            "  score.fold\n      default true; true or false\n      fold BatchNorm into "
            "convolutions: faster, and the same scores up to rounding\n");
  EXPECT_THAT(config_help("sweep.ratios"),
              HasSubstr("default [0.75, 0.5, 0.25]; a list, each item a number in [1e-06, 1]"));
  EXPECT_THAT(config_help("prune.score"),
              HasSubstr("default \"scores\"; one of scores last_epoch mean scores_mean"));
}

TEST(Config, HelpOfAnUnknownSectionListsTheSections) {
  try {
    (void)config_help("trian");
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("config --help trian: no such section or key, did you mean "
                                        "train?; there are: output seed device threads data "));
    for (const auto& section : config_sections())
      EXPECT_THAT(error.what(), HasSubstr(" " + section));
  }
}

TEST(Config, ShippedConfigurationsAreRight) {
  const std::string folder = std::string(std::getenv("DIFFPROB_SOURCE_DIR")) + "/launch/configs/";
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    std::ifstream file(entry.path());
    ASSERT_TRUE(file) << name;
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_THAT(text.str().substr(0, text.str().find("\noutput:")), HasSubstr(entry.path().stem()))
        << "the comment at the top says how to start it";
    EXPECT_NO_THROW((void)parse_config(name, text.str(), {})) << name;
    ++files;
  }
  EXPECT_GE(files, 12u);
}

}  // namespace
}  // namespace diffprob::launch

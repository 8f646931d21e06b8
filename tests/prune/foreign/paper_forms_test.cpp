// Files of the paper's code: pred_prob_clean with its marks, folders of prob_E.txt.
#include <cmath>
#include <filesystem>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "prune/error.h"
#include "prune/foreign/dynamics_import.h"
#include "prune/foreign/prob_folder.h"
#include "prune/foreign/score_csv.h"
#include "prune/foreign/score_import.h"
#include "prune/foreign/score_rows.h"
#include "prune/prune.h"
#include "prune/tables/scored_samples.h"
#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PaperForms : public ::testing::Test {
 protected:
  ScoreTable import(const std::string& path, const EpochChoice& epoch = {}) const {
    return import_scores(path, ScoreValue::kProbability, epoch, samples_);
  }
  std::string problem_of(const std::string& path, const EpochChoice& epoch = {}) const {
    return message_of<data::DataError>([&] { static_cast<void>(import(path, epoch)); });
  }
  std::string write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(folder_.file(name)).parent_path());
    write_bytes(folder_.file(name), text);
    return folder_.file(name);
  }
  static std::vector<float> probabilities(const ScoreTable& table) {
    std::vector<float> values;
    for (const ScoreRecord& record : table.records) values.push_back(record.probability);
    return values;
  }
  static std::vector<std::int32_t> predictions(const ScoreTable& table) {
    std::vector<std::int32_t> values;
    for (const ScoreRecord& record : table.records) values.push_back(record.top1);
    return values;
  }
  /// Of one rank.
  PruneResult pruned(const std::string& scores, PruneOptions options) {
    return prune({scores, "", ""}, options, collectives_);
  }

  TemporaryFolder folder_;
  SampleLabels samples_{{0, 1, 1, 0}, 2, ""};
  dist::HostCollectives collectives_;
};

TEST_F(PaperForms, AMarkSaysMispredictedAndHidesTheProbability) {
  const std::string path = write("prob_34.txt", "2.5e-01\n-1.000000000000000000e+00\n1.\n0.5\n");

  const ScoreTable table = import(path);

  EXPECT_EQ(table.columns.text(), "nll probability top1");
  EXPECT_THAT(predictions(table), ElementsAre(0, kUnknownClass, 1, 0));
  EXPECT_TRUE(std::isnan(table.records[1].probability));
  EXPECT_TRUE(std::isnan(table.records[1].nll));
  EXPECT_EQ(table.records[2].probability, 1);
  EXPECT_EQ(unknown_scores(table), 1);
}

TEST_F(PaperForms, WithoutMarksNothingIsKnownOfThePrediction) {
  const ScoreTable table = import(write("prob_34.txt", "0.25\n0\n1\n0.5\n"));
  EXPECT_EQ(table.columns.text(), "nll probability");
  EXPECT_EQ(unknown_scores(table), 0);
}

TEST_F(PaperForms, OtherNegativeNumbersAreNoMarks) {
  EXPECT_THAT(problem_of(write("a.txt", "0.25\n-0.5\n1\n0.5\n")),
              HasSubstr("row 0: sample 1 is -0.500000, expected a probability, 0 to 1, or -1"));
  const std::string marked = write("b.txt", "0.25\n-1\n1\n0.5\n");
  EXPECT_THAT(message_of<data::DataError>([&] {
                static_cast<void>(import_scores(marked, ScoreValue::kNll, {}, samples_));
              }),
              HasSubstr("sample 1 is -1.000000, expected -log p"));
  EXPECT_THAT(message_of<data::DataError>([&] {
                static_cast<void>(import_dynamics(marked, ScoreValue::kProbability, samples_));
              }),
              HasSubstr("the mark of a mispredicted sample"));
}

TEST_F(PaperForms, MarkedTablesComeBackFromHdf5AndCsv) {
  const ScoreTable table = import(write("prob_34.txt", "0.25\n-1\n1\n0.5\n"));
  write_scores(folder_.file("s.h5"), table);
  write_score_csv(folder_.file("s.csv"), table);
  EXPECT_THAT(read_bytes(folder_.file("s.csv")), HasSubstr("\n1,1,-1,-1,-1\n"));

  for (const ScoreTable& read :
       {read_scores(folder_.file("s.h5")), read_score_csv(folder_.file("s.csv"), {}),
        read_score_csv(write("p.csv", "probability\n0.25\n-1\n1\n0.5\n"), samples_)}) {
    EXPECT_EQ(read.columns, table.columns);
    EXPECT_EQ(predictions(read), predictions(table));
    EXPECT_TRUE(std::isnan(read.records[1].probability));
    EXPECT_EQ(read.records[0].nll, table.records[0].nll);
  }
}

TEST_F(PaperForms, MarksAndScoresMustAgree) {
  ScoreTable table = import(write("prob_34.txt", "0.25\n-1\n1\n0.5\n"));
  table.records[1].probability = 0.5F;
  EXPECT_THAT(message_of<PruneError>([&] { write_scores(folder_.file("s.h5"), table); }),
              HasSubstr("row 1: top1 is -1, which marks an unknown score, but there is one"));
  table.records[1].probability = std::numeric_limits<float>::quiet_NaN();
  table.records[1].top1 = 0;
  EXPECT_THAT(message_of<PruneError>([&] { write_scores(folder_.file("s.h5"), table); }),
              HasSubstr("row 1: nll is NaN"));
  EXPECT_THAT(
      message_of<data::DataError>([&] {
        static_cast<void>(
            read_score_csv(write("t.csv", "label,probability,top1\n0,0.5,0\n1,0.5,-1\n"), {}));
      }),
      HasSubstr("line 3: top1 is -1, which only a sample whose probability is -1 may have"));
}

TEST_F(PaperForms, CleaningDropsMarkedSamplesUnderBothPresets) {
  samples_ = {{0, 0, 0, 0, 0, 0, 0, 1, 1}, 2, ""};
  const std::string scores = folder_.file("s.h5");
  write_scores(scores, import(write("prob_34.txt", "0.9\n-1\n0.1\n0.5\n0.7\n0.3\n0.2\n-1\n-1\n")));
  for (const Preset preset : {Preset::kDefault, Preset::kReference}) {
    PruneOptions options;
    options.diffprob.preset = preset;
    options.diffprob.threshold = 0.15;
    options.diffprob.floor.min_kept = 2;

    const PruneResult result = pruned(scores, options);

    EXPECT_EQ(result.mislabelled, 3);
    EXPECT_THAT(result.vanished, ElementsAre(1));
    EXPECT_TRUE(result.confusions.empty()) << "nobody knows as what they were taken";
    EXPECT_EQ(result.own_reasons[1], Reason::kMislabelled);
    EXPECT_EQ(result.own_reasons[0], Reason::kKept);
    EXPECT_EQ(result.kept, 5);
    write_pruning(folder_.file(""), result, collectives_);
    std::int64_t rows = 0;
    ScoredSamples(scores, folder_.file("index_set.h5")).for_each([&](const ScoredSample& sample) {
      ++rows;
      EXPECT_EQ(sample.top1 == kUnknownClass, sample.reason == Reason::kMislabelled);
    });
    EXPECT_EQ(rows, 9);
  }
}

TEST_F(PaperForms, WithoutCleaningUnknownScoresAreRefusedWhereTheyAreRead) {
  const std::string scores = folder_.file("s.h5");
  write_scores(scores, import(write("prob_34.txt", "0.25\n-1\n1\n0.5\n")));
  PruneOptions options;
  options.clean = false;
  EXPECT_THAT(message_of<PruneError>([&] { static_cast<void>(pruned(scores, options)); }),
              HasSubstr("1 samples are marked as mispredicted (-1 in the paper's pred_prob_clean) "
                        "and have no probability"));
  options.method = Method::kRandom;
  EXPECT_EQ(pruned(scores, options).num_samples, 4);
}

TEST_F(PaperForms, AFolderIsReadByRisingNumber) {
  write("p/prob_10.txt", "0.5\n0.5\n0.5\n0.5\n");
  write("p/prob_9.txt", "0.25\n0\n1\n0.5\n");
  write("p/prob_11.txt", "1\n1\n1\n1\n");
  write("p/prob_9.txt.bak", "x");
  write("p/notes.txt", "x");
  const std::string folder = folder_.file("p");

  EXPECT_EQ(probabilities(import(folder, parse_epoch("last"))), std::vector<float>(4, 1.0F));
  EXPECT_THAT(probabilities(import(folder, parse_epoch("9"))), ElementsAre(0.25F, 0, 1, 0.5F));
  EXPECT_THAT(probabilities(import(folder, parse_epoch("mean"))),
              ElementsAre(static_cast<float>(1.75 / 3), 0.5F, static_cast<float>(2.5 / 3),
                          static_cast<float>(2.0 / 3)));
  EXPECT_THAT(problem_of(folder), HasSubstr("choose with --epoch=last"));
  EXPECT_THAT(problem_of(folder, parse_epoch("3")), HasSubstr("no file prob_3.txt"));
}

TEST_F(PaperForms, TheMeanOfMarksIsThatOfThePapersCode) {
  write("p/prob_0.txt", "-1\n-1\n0.5\n0.5\n");
  write("p/prob_1.txt", "0.9\n-1\n0.5\n0.5\n");
  write("p/prob_2.txt", "0.9\n0.9\n0.5\n0.5\n");

  const ScoreTable table = import(folder_.file("p"), parse_epoch("mean"));

  EXPECT_THAT(predictions(table), ElementsAre(0, kUnknownClass, 1, 0));
  EXPECT_FLOAT_EQ(table.records[0].probability, 0.8F / 3);
}

TEST_F(PaperForms, BadFoldersNameTheFile) {
  EXPECT_THAT(problem_of(folder_.file("none")), HasSubstr("none"));
  write("p/prob_.txt", "0.5\n");
  EXPECT_THAT(problem_of(folder_.file("p")), HasSubstr("no file prob_E.txt"));
  write("p/prob_7.txt", "0.5\n0.5\n0.5\n0.5\n");
  write("p/prob_07.txt", "0.5\n0.5\n0.5\n0.5\n");
  EXPECT_THAT(problem_of(folder_.file("p")), HasSubstr("prob_7.txt: both are epoch 7"));
  fs::remove(folder_.file("p/prob_07.txt"));
  write("p/prob_8.txt", "0.5\n0.5\n0.5\n");
  EXPECT_THAT(problem_of(folder_.file("p"), parse_epoch("last")),
              HasSubstr("prob_8.txt: 3 scores, but"));
  write("p/prob_8.txt", "0.5\n0.5\n2\n0.5\n");
  EXPECT_THAT(problem_of(folder_.file("p"), parse_epoch("last")),
              HasSubstr("prob_8.txt: sample 2 is 2.000000"));
  write("p/prob_8.txt", "0.5 0.5 0.5 0.5\n0.5 0.5 0.5 0.5\n");
  EXPECT_THAT(problem_of(folder_.file("p"), parse_epoch("last")),
              HasSubstr("prob_8.txt: several rows"));
  write("p/prob_8.txt", "0.5\n0.5\nx\n0.5\n");
  EXPECT_THAT(problem_of(folder_.file("p"), parse_epoch("last")), HasSubstr("prob_8.txt: line 3"));
  write("p/prob_8.txt", "");
  EXPECT_THAT(problem_of(folder_.file("p"), parse_epoch("last")),
              HasSubstr("prob_8.txt: contains no scores"));
}

TEST_F(PaperForms, EveryEpochMustBeThereForDynamics) {
  for (const int epoch : {2, 3, 5, 8})
    write("p/prob_" + std::to_string(epoch) + ".txt", "0.5\n0.5\n0.5\n0.5\n");
  EXPECT_EQ(missing_epochs(prob_folder_files(folder_.file("p"))), "4, 6 to 7");
  const auto dynamics = [&] {
    return import_dynamics(folder_.file("p"), ScoreValue::kProbability, samples_, 2);
  };
  EXPECT_THAT(message_of<PruneError>([&] { static_cast<void>(dynamics()); }),
              HasSubstr("epochs 4, 6 to 7 have no file prob_E.txt"));
  for (const int epoch : {4, 6, 7})
    write("p/prob_" + std::to_string(epoch) + ".txt", "1\n0.5\n0\n0.5\n");
  EXPECT_EQ(dynamics().epochs, 7);
  EXPECT_THAT(dynamics().rows.mean_probability, ElementsAre(5.0 / 7, 0.5, 2.0 / 7, 0.5));
}

TEST_F(PaperForms, AWrittenFolderComesBackAsItWas) {
  Draws draws(3);
  const std::string folder = folder_.file("p");
  std::vector<std::vector<double>> epochs(12, std::vector<double>(40));
  {
    ProbFolderWriter writer(folder);
    for (auto& epoch : epochs) {
      for (double& value : epoch) value = draws.uniform();
      writer.append(epoch);
    }
  }
  std::vector<std::vector<double>> read;
  read_score_rows(folder, [&](std::int64_t row, std::span<const double> values) {
    EXPECT_EQ(row, static_cast<std::int64_t>(read.size()));
    read.emplace_back(values.begin(), values.end());
  });
  EXPECT_EQ(read, epochs);
  EXPECT_THAT(message_of<PruneError>([&] { ProbFolderWriter again(folder); }),
              HasSubstr("expected a new or empty folder"));
}

}  // namespace
}  // namespace diffprob::prune::tests

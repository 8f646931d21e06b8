#include "launch/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include <unistd.h>

#include "launch/evaluate/verification_file.h"
#include "launch/pipeline/comparison_table.h"
#include "launch/report/faces.h"
#include "launch/report/metrics.h"
#include "launch/report/models.h"
#include "prune/error.h"
#include "prune/lists/index_set.h"
#include "prune/tables/score_table.h"

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;
using prune::Reason;
using prune::ScoredSample;
using prune::ScoredSamples;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() {
    folder_ = fs::temp_directory_path() / ("diffprob_report_test_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~ReportTest() override { fs::remove_all(folder_); }
  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }
  void put(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

  fs::path folder_;
};

using ReportMetrics = ReportTest;

std::string train_line(int step, double loss) {
  return R"({"stage":"t","kind":"train","step":)" + std::to_string(step) + R"(,"loss":)" +
         std::to_string(loss) + R"(,"lr":null})" + "\n";
}

TEST_F(ReportMetrics, WhatAResumedTrainingRepeatsIsTakenBack) {
  put("m", train_line(1, 9) + train_line(2, 8) + train_line(3, 7) +
               R"({"stage":"t","kind":"eval","step":3,"set":"lfw","accuracy":0.5})" + "\n" +
               train_line(2, 6) + train_line(3, 5) +
               R"({"stage":"t","kind":"eval","step":3,"set":"lfw","accuracy":0.6})" + "\n");

  const MetricsFile file = read_metrics(path("m"));

  const auto& stage = file.stages.at("t");
  EXPECT_THAT(stage.curves.step, ElementsAre(1, 2, 3));
  EXPECT_THAT(stage.curves.loss, ElementsAre(9, 6, 5));
  EXPECT_TRUE(std::isnan(stage.curves.learning_rate[0]));
  ASSERT_EQ(stage.evaluations.size(), 1U);
  EXPECT_EQ(stage.evaluations[0].accuracy, 0.6);
}

TEST_F(ReportMetrics, ForeignLinesAreCounted) {
  put("m",
      "not "
      "json\n[1]\n{\"stage\":5,\"kind\":\"train\",\"step\":1}\n{\"stage\":\"t\",\"kind\":\"train\","
      "\"step\":-1}\n" +
          train_line(1, 2) + R"({"stage":"t","kind":"tr)");

  EXPECT_EQ(read_metrics(path("m")).bad_lines, 5);
  EXPECT_THROW((void)read_metrics(path("none")), std::runtime_error);
}

ScoredSample sample(std::int64_t index, float probability, Reason reason) {
  return {index, 0, 0, -std::log(probability), probability, reason};
}

std::vector<std::int64_t> labels_of(const std::vector<ChosenIdentity>& chosen,
                                    const std::string& why) {
  std::vector<std::int64_t> labels;
  for (const auto& one : chosen) {
    if (one.why == why) labels.push_back(one.label);
  }
  return labels;
}

TEST(ReportFaces, ChoiceByHand) {
  // kept, pruned, cleaned; 23 of 59 are kept (39 %), the median size is 10; the last one, of which
  // nothing is kept, does not count
  const std::vector<IdentityOutcome> identities = {{{5, 5, 0}}, {{2, 8, 0}}, {{0, 0, 0}},
                                                   {{2, 8, 2}}, {{5, 0, 5}}, {{5, 4, 1}},
                                                   {{4, 3, 0}}, {{0, 20, 0}}};

  const auto chosen = choose_identities(identities, 2);

  EXPECT_THAT(labels_of(chosen, "most pruned"), ElementsAre(1, 3));
  EXPECT_THAT(labels_of(chosen, "most removed by cleaning"), ElementsAre(4, 5));
  EXPECT_THAT(labels_of(chosen, "typical"), ElementsAre(0, 6));
  EXPECT_TRUE(choose_identities({}, 2).empty());
}

TEST(ReportFaces, SheetPutsPrunedImagesBehindTheKeptOneAboveThem) {
  const std::vector<ScoredSample> samples = {
      sample(0, 0.2F, Reason::kKept),       sample(1, 0.9F, Reason::kKept),
      sample(2, 0.88F, Reason::kRedundant), sample(3, 0.87F, Reason::kDuplicate),
      sample(4, 0.86F, Reason::kRedundant), sample(5, 0.1F, Reason::kMislabelled),
      sample(6, 0.5F, Reason::kKeptByFloor)};

  const FaceSheet sheet = make_sheet({0, "typical"}, {{3, 3, 1}}, samples, {7, 2, 6});

  ASSERT_EQ(sheet.groups.size(), 3U);
  EXPECT_EQ(sheet.groups[0].kept.index, 1);
  ASSERT_EQ(sheet.groups[0].pruned.size(), 2U);
  EXPECT_EQ(sheet.groups[0].pruned[0].index, 2);
  EXPECT_EQ(sheet.groups[1].kept.index, 6);
  EXPECT_EQ(sheet.groups[2].kept.index, 0);
  ASSERT_EQ(sheet.cleaned.size(), 1U);
  EXPECT_EQ(sheet.shown(), 6U);
  EXPECT_EQ(make_sheet({0, ""}, {}, samples, {1, 2, 0}).groups.at(0).kept.index,
            1);  // the one with pruned images
  EXPECT_TRUE(make_sheet({0, ""}, {}, {}, {}).groups.empty());
}

TEST(ReportFaces, ProbabilitiesNearOneKeepTheirDigits) {
  ScoredSample close{0, 0, 0, 3.2e-5F, 1.0F, Reason::kKept};
  EXPECT_EQ(probability_text(close), "1\u22123.2e-5");
  EXPECT_EQ(probability_text(sample(0, 0.25F, Reason::kKept)), "0.250");
  EXPECT_EQ(probability_text(sample(0, 1e-5F, Reason::kKept)), "1.0e-05");
}

using ReportScoresTest = ReportTest;

/// N samples of 7 identities; every reason occurs.
struct Made {
  std::vector<ScoredSample> samples;
};
Made make_files(const std::string& scores, const std::string& index_set, std::int64_t samples,
                const std::string& fingerprint) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<float> unit(1e-6F, 1);
  Made made;
  prune::ScoreTable table;
  prune::IndexSet set;
  table.source = {"data", "model", 0, 64, "", 7};
  set.dataset_fingerprint = fingerprint;
  set.num_samples = samples;
  set.method = "clean+diffprob";
  set.label_map = {0, 1, 2, 3, 4, 5, 6};
  for (std::int64_t i = 0; i < samples; ++i) {
    prune::ScoreRecord record;
    record.index = static_cast<std::uint32_t>(i);
    record.probability = unit(random);
    record.nll = -std::log(record.probability);
    record.top1 = static_cast<std::int32_t>(random() % 7);
    table.records.push_back(record);
    table.labels.push_back(static_cast<std::int32_t>(random() % 7));
    set.reasons.push_back(static_cast<Reason>(random() % 6));
    if (prune::is_kept(set.reasons.back())) set.kept.push_back(i);
    made.samples.push_back(
        {i, table.labels.back(), record.top1, record.nll, record.probability, set.reasons.back()});
  }
  prune::write_scores(scores, table);
  prune::write_index_set(index_set, set);
  return made;
}

TEST_F(ReportScoresTest, OverviewCountsEverySampleOnce) {
  const Made made = make_files(path("s.h5"), path("i.h5"), 5000, "data");

  const ScoredSamples samples(path("s.h5"), path("i.h5"));
  const ScoreOverview overview = overview_of(samples);

  std::int64_t next = 0;
  samples.for_each([&](const ScoredSample& s) {
    const auto& wanted = made.samples.at(static_cast<std::size_t>(next++));
    EXPECT_TRUE(s.index == wanted.index && s.label == wanted.label && s.top1 == wanted.top1 &&
                s.nll == wanted.nll && s.reason == wanted.reason);
  });
  EXPECT_EQ(next, 5000);
  for (std::size_t outcome = 0; outcome < kOutcomes; ++outcome) {
    for (std::size_t bin = 0; bin < ScoreDistribution::kBins; ++bin) {
      const auto low = static_cast<double>(bin) / 50, high = static_cast<double>(bin + 1) / 50;
      const auto count =
          std::count_if(made.samples.begin(), made.samples.end(), [&](const auto& s) {
            return static_cast<std::size_t>(outcome_of(s.reason)) == outcome &&
                   s.probability >= low && (s.probability < high || bin == 49);
          });
      EXPECT_EQ(overview.distribution.probability[outcome][bin], static_cast<double>(count));
    }
    double all = 0;
    for (const double count : overview.distribution.nll[outcome]) all += count;
    std::int64_t of_identities = 0;
    for (const auto& identity : overview.identities) of_identities += identity.samples[outcome];
    EXPECT_EQ(all, static_cast<double>(of_identities));
  }
}

TEST_F(ReportScoresTest, FilesOfDifferentDataSetsAreRefused) {
  make_files(path("s.h5"), path("i.h5"), 50, "another");
  EXPECT_THROW(ScoredSamples(path("s.h5"), path("i.h5")), prune::PruneError);
  make_files(path("s2.h5"), path("i2.h5"), 51, "data");
  make_files(path("s.h5"), path("i.h5"), 50, "data");
  EXPECT_THROW(ScoredSamples(path("s.h5"), path("i2.h5")), prune::PruneError);
  EXPECT_THROW(ScoredSamples(path("i.h5"), path("s.h5")), prune::PruneError);
}

using ReportVerification = ReportTest;

TEST_F(ReportVerification, ComesBackAsWritten) {
  eval::SetReport report;
  report.name = "a \"set\"";
  report.pairs = 3;
  report.verification.accuracy_mean = 0.75;
  report.verification.fold_accuracy = {0.5, 1};
  report.auc = std::nan("");
  report.feature_norm = 21.5;
  report.curves.genuine[99] = 2;
  report.curves.impostor[3] = 1;
  report.curves.far = {0.5, 1};
  report.curves.tar = {0.25, 1};
  write_verification(path("v.json"), {}, {report});

  const VerificationFile file = read_verification(path("v.json"));

  EXPECT_TRUE(file.untrained.empty());
  ASSERT_EQ(file.trained.size(), 1U);
  const StoredVerification& set = file.trained[0];
  EXPECT_EQ(set.set, "a \"set\"");
  EXPECT_EQ(set.accuracy, 0.75);
  EXPECT_TRUE(std::isnan(set.auc));
  EXPECT_EQ(set.feature_norm, 21.5);
  EXPECT_EQ(set.fold_accuracy, report.verification.fold_accuracy);
  EXPECT_EQ(set.curves.genuine, report.curves.genuine);
  EXPECT_EQ(set.curves.tar, report.curves.tar);
}

TEST_F(ReportVerification, AnEarlierProgramKeptNoXNorm) {
  eval::SetReport report;
  report.name = "lfw";
  write_verification(path("v.json"), {}, {report});  // NaN is written as null
  EXPECT_TRUE(std::isnan(read_verification(path("v.json")).trained[0].feature_norm));

  std::ifstream file(path("v.json"));
  std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::string member = "\"xnorm\":null,";
  ASSERT_NE(text.find(member), std::string::npos);
  put("old.json", text.erase(text.find(member), member.size()));
  EXPECT_TRUE(std::isnan(read_verification(path("old.json")).trained[0].feature_norm));
}

TEST_F(ReportVerification, MalformedFilesAreNamed) {
  for (const std::string text :
       {"", "[]", "{\"format_version\":2,\"untrained\":[],\"trained\":[]}",
        "{\"format_version\":1,\"untrained\":[]}",
        "{\"format_version\":1,\"untrained\":[],\"trained\":[{\"set\":3}]}"}) {
    put("v.json", text);
    try {
      (void)read_verification(path("v.json"));
      ADD_FAILURE() << text;
    } catch (const std::runtime_error& error) {
      EXPECT_THAT(error.what(), HasSubstr("v.json"));
    }
  }
}

TEST_F(ReportTest, SeedsOfAModelMakeOneRowAndRandomComesLast) {
  for (const std::string stage :
       {"train_original", "train_random_s0", "train_pruned_s0", "train_pruned_s1"}) {
    const std::string accuracy = stage == "train_pruned_s1" ? "0.9" : "0.8";
    put("run/" + stage + "/stage.json",
        R"({"result":{"seconds":10,"untrained":[],"reports":[{"set":"lfw","accuracy":)" + accuracy +
            "}]}}");
  }
  const ReportRun run = read_report_run(path("run"));

  const auto rows = model_rows(run);

  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].model, "original");
  EXPECT_EQ(rows[1].model, "pruned");
  EXPECT_EQ(rows[2].model, "random");
  EXPECT_THAT(seed_accuracies(rows[1], "lfw"), ElementsAre(0.8, 0.9));
  EXPECT_EQ(pruned_model(rows), &rows[1]);
  EXPECT_THAT(sets_of(rows), ElementsAre("lfw"));
}

std::string ijb_json(double tar) {
  return fmt::format(
      R"([{{"protocol":"IJB-C","variants":[{{"variant":"F1N1D1","impostors":20000,"auc":0.9,"eer":0.1,)"
      R"("roc":{{"far":[0,0.0001,1],"tar":[0,{0},1],"threshold":[null,0.5,-1]}},)"
      R"("tar_at_far":[{{"far":1e-6,"tar":{0},"tar_nearest":{0},"meaningful":false}},)"
      R"({{"far":1e-4,"tar":0.25,"tar_nearest":{0},"meaningful":true}}]}}]}}])",
      tar);
}

TEST_F(ReportTest, ShowsIjbOfATrainingWhenTheRunAskedForIt) {
  for (const std::string model : {"original", "pruned_s0", "pruned_s1"}) {
    put("run/train_" + model + "/stage.json", R"({"result":{"untrained":[],"reports":[]}})");
    put("run/ijb_" + model + "/ijb.json", ijb_json(model == "pruned_s1" ? 0.7 : 0.5));
  }
  put("run/config.yaml", "eval: {ijb: [IJBC]}\n");
  const std::string page = report_html({read_report_run(path("run"))});
  EXPECT_THAT(page, HasSubstr("ROC: IJB-C, F1N1D1"));
  EXPECT_THAT(page, HasSubstr("20000 impostor pairs"));
  EXPECT_THAT(page, HasSubstr("(50.00)"));  // of 1e-6
  EXPECT_THAT(page, HasSubstr("60.00"));    // mean of the seeds
  EXPECT_THAT(page, HasSubstr("not above: 25.00; \u00b1 14.14"));
  EXPECT_THAT(page, HasSubstr("1e-04"));

  put("run/config.yaml", "seed: 1\n");  // its last start asked for none
  EXPECT_THAT(report_html({read_report_run(path("run"))}), Not(HasSubstr("IJB-C")));

  put("run/config.yaml", "eval: {ijb: [IJBC]}\n");
  put("run/ijb_original/ijb.json",
      R"([{"protocol":7,"variants":[5,{"roc":[],"tar_at_far":{}}]},3])");
  put("run/ijb_pruned_s0/ijb.json", R"([{"proto)");
  const ReportRun broken = read_report_run(path("run"));
  EXPECT_THAT(report_html({broken}), HasSubstr("ROC: IJB-C, F1N1D1"));  // of the other seed
  EXPECT_THAT(broken.notes,
              ::testing::Contains(HasSubstr("ijb_pruned_s0/ijb.json: not a JSON list")));
}

TEST_F(ReportTest, ShowsAnEvaluationAlone) {
  eval::SetReport report;
  report.name = "lfw";
  report.curves.impostor[3] = 10;
  report.curves.far = {0.1, 1};
  report.curves.tar = {0.5, 1};
  report.feature_norm = 21.25;
  put("e/ijb.json", ijb_json(0.5));
  write_verification(path("e/eval_curves.json"), {}, {report});

  const ReportRun run = read_report_run(path("e"));
  const std::string page = report_html({run});

  for (const char* text : {"ROC: lfw", "ROC: IJB-C, F1N1D1", "evaluated", "21.250"})
    EXPECT_THAT(page, HasSubstr(text));
  EXPECT_THAT(run.notes, Not(::testing::Contains(HasSubstr("metrics.jsonl"))));
}

TEST_F(ReportTest, SaysTheSameIntervalAsTheSweep) {
  const std::vector<double> pruned = {0.912, 0.934, 0.921}, random = {0.905, 0.851};
  const auto put_training = [&](const std::string& stage, double accuracy) {
    put("run/" + stage + "/stage.json",
        fmt::format(R"({{"result":{{"untrained":[],"reports":[{{"set":"lfw","accuracy":{}}}]}}}})",
                    accuracy));
  };
  ComparisonCell pruned_cell{"diffprob", 0.5, {}}, random_cell{"random", 0.5, {}};
  for (std::size_t i = 0; i < pruned.size(); ++i) {
    put_training("train_pruned_s" + std::to_string(i), pruned[i]);
    pruned_cell.runs.push_back({i, 10, 2, 0, 1, {pruned[i]}});
  }
  for (std::size_t i = 0; i < random.size(); ++i) {
    put_training("train_random_s" + std::to_string(i), random[i]);
    random_cell.runs.push_back({i, 10, 2, 0, 1, {random[i]}});
  }

  const std::string page = report_html({read_report_run(path("run"))});
  const std::vector<ComparisonCell> cells = {pruned_cell, random_cell};
  const std::string table = comparison_text(compare(cells), {"lfw"});

  // 1.113 degrees of freedom, which must not be rounded.
  EXPECT_THAT(table, HasSubstr("+4.43 +- 27.81 "));
  EXPECT_THAT(page, HasSubstr("+4.43 \u00b1 27.81"));
}

TEST_F(ReportScoresTest, LabelsShowTheEstimateAndProposals) {
  const std::string run = "run";
  put(run + "/summary.json",
      R"({"method":"clean","samples":200,"usable":180,"kept":180,
          "noise":{"rate":0.0512,"low_95":0.04,"high_95":0.061,"confident":150,
                   "confident_of_another_class":8,"verdict":"cleaning <is> worth it"},
          "clean_precision":{"why":"ten are dropped"},"clean_floor":{"samples":3,"identities":2}})");
  put(run + "/proposals.csv",
      "kind,index,identity,proposed,agreement\nrelabel,1,2,3,\nmerge,,4,5,0.98\nsplit,7,6,,0.2\n");
  make_files(path(run + "/scores.h5"), path(run + "/index_set.h5"), 200, "data");

  const ReportRun read = read_report_run(path(run));
  const std::string page = report_html({read});

  EXPECT_EQ(read.proposals.size(), 3U);
  for (const char* text : {"5.12 %", "4.00 % to 6.10 %", "Cleaning &lt;is&gt; worth it.",
                           "Ten are dropped.", "left 3 suspicious images to 2 identities",
                           "No faces: they need scores, an index set and the data set"})
    EXPECT_THAT(page, HasSubstr(text));
}

TEST_F(ReportTest, HostileFilesAreEscapedOrLeftOut) {
  const std::string evil = "<script>alert('x')</script>\"'&\xFF";
  const std::string run = "<b>run&";
  put(run + "/config.yaml", "output: " + evil + "\n</pre><script>");
  put(run + "/summary.json",
      "{\"models\":[{\"model\":5}],\"seconds\":\"x\",\"planted\":{\"cleaned\":[]}}");
  put(run + "/prune_<i>/index_set.h5", "not HDF5");
  put(run + "/prune_<i>/summary.json",
      R"({"method":"<script>1</script>","samples":1e300,"kept":-5,"search":{"curve":[1,{"threshold":"x"},{"threshold":1e-300,"kept":1e308}]},
    "per_identity":{"before":["a",-1,1e308,3],"after":7},"confusions":[3,{"label":"<x>"}],"options":[],"reasons":null})");
  put(run + "/train_<img src=x>_s0/stage.json",
      R"({"result":{"seconds":-1,"steps":"<a>","reports":[{"set":"<svg onload=1>","accuracy":1e999},7]}})");
  put(run + "/train_<img src=x>_s0/verification.json", "{}");
  put(run + "/metrics.jsonl",
      R"({"stage":"train_<img src=x>_s0","kind":"train","step":1,"loss":1e308})"
      "\n{\"stage\":\"train_<img "
      "src=x>_s0\",\"kind\":\"eval\",\"step\":1,\"set\":\"<u>\",\"accuracy\":0.5}\n");
  put(run + "/scores.h5", "\x89HDF\r\n\x1a\nrubbish");

  const ReportRun read = read_report_run(path(run));
  const std::string page = report_html({read});

  EXPECT_FALSE(read.notes.empty());
  for (const char* raw :
       {"<script", "<b>run", "<img src=x", "<svg onload", "</pre><", "<u>", "<i>"})
    EXPECT_THAT(page, Not(HasSubstr(raw)));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;run&amp;"));
  EXPECT_THAT(report_html({read, read}), HasSubstr("</html>"));
}

TEST_F(ReportTest, FoldersThatAreNoRunsAreErrors) {
  EXPECT_THROW((void)read_report_run(path("missing")), std::runtime_error);
  EXPECT_THROW((void)read_report_run(folder_.string()), std::runtime_error);
}

}  // namespace
}  // namespace diffprob::launch

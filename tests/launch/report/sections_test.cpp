// Parts of the report from the JSON that they are made of.
#include "launch/report/sections/page_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/fmt/fmt.h>

#include "eval/metrics/confidence.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Write = void (*)(eval::HtmlWriter&, const ReportRuns&);
/// Without line breaks.
std::string page_of(Write write, const ReportRuns& runs) {
  eval::HtmlWriter html;
  write(html, runs);
  std::string page = html.take();  // throws when an element is open
  std::erase(page, '\n');
  return page;
}

ReportRun run_named(const std::string& name) {
  ReportRun run;
  run.path = run.name = name;
  return run;
}

nlohmann::json group(const nlohmann::json& name, int identities, int samples, double share) {
  nlohmann::json json = {{"identities", identities}, {"samples", samples}, {"share", share}};
  json.update(name);
  return json;
}

ReportRun pruned_run() {
  ReportRun run = run_named("a");
  const nlohmann::json own = {
      {"by_size",
       {group({{"from", 1}, {"to", 1}}, 3, 3, 1), group({{"from", 2}, {"to", 4}}, 20, 61, 0.5),
        group({{"from", 100}}, 7, 900, 0.2512)}},
      {"by_mislabelled",
       {group({{"mislabelled_percent", 0}}, 11, 500, 0.75),
        group({{"mislabelled_percent_above", 10}}, 2, 30, 0.125)}}};
  // Without identities of a single image.
  const nlohmann::json random = {
      {"by_size",
       {group({{"from", 2}, {"to", 4}}, 20, 61, 0.625), group({{"from", 100}}, 7, 900, 0.0625)}}};
  run.prunings = {{"prune", "", {{"fairness", own}}},
                  {"prune_random_s0", "", {{"fairness", random}}}};
  return run;
}

TEST(Fairness, ARowPerGroupAndAColumnPerPruning) {
  const std::string page = page_of(write_fairness, {pruned_run()});

  EXPECT_THAT(page, HasSubstr("kept by prune</th>"));
  EXPECT_THAT(page, HasSubstr("kept by prune_random_s0</th>"));
  for (const char* row : {R"(>1</th><td>3</td><td>3</td><td>100.0 %</td><td>-</td>)",
                          R"(>2 to 4</th><td>20</td><td>61</td><td>50.0 %</td><td>62.5 %</td>)",
                          R"(>100 or more</th><td>7</td><td>900</td><td>25.1 %</td><td>6.2 %</td>)",
                          R"(>none</th><td>11</td><td>500</td><td>75.0 %</td><td>-</td>)",
                          R"(>above 10 %</th><td>2</td><td>30</td><td>12.5 %</td><td>-</td>)"})
    EXPECT_THAT(page, HasSubstr(row));
}

TEST(Fairness, NothingIsKnownOfOlderOrDamagedPrunings) {
  ReportRun run = run_named("a");
  EXPECT_EQ(page_of(write_fairness, {run}), "");
  for (const nlohmann::json& summary :
       {nlohmann::json(), nlohmann::json{{"fairness", 3}},
        nlohmann::json{{"fairness", {{"by_size", {}}, {"by_mislabelled", 5}}}}}) {
    run.prunings = {{"prune", "", summary}};
    EXPECT_EQ(page_of(write_fairness, {run}), "");
  }
  run.prunings = {{"prune", "", {{"fairness", {{"by_size", {3, {{"from", "<b>"}}}}}}}}};
  EXPECT_THAT(page_of(write_fairness, {run}), Not(HasSubstr("<b>")));
}

nlohmann::json cell(const std::string& method, double ratio, const std::vector<double>& lfw) {
  nlohmann::json runs = nlohmann::json::array();
  for (const double accuracy : lfw) runs.push_back({{"accuracy", {{"lfw", accuracy}}}});
  return {{"method", method}, {"ratio", ratio}, {"images", 50}, {"identities", 5}, {"runs", runs}};
}

const std::vector<double> kPruned = {0.912, 0.934, 0.921}, kRandom = {0.905, 0.851, 0.871};

ReportRun swept_run() {
  ReportRun run = run_named("s");
  run.sweep = {{"sets", {"lfw"}},
               {"cells",
                {cell("original", 1, {0.95, 0.96}), cell("diffprob", 0.5, kPruned),
                 cell("random", 0.5, kRandom), cell("diffprob", 0.25, {0.8, 0.81}),
                 cell("random", 0.25, {0.7, 0.9})}}};
  return run;
}

std::size_t count(const std::string& page, const std::string& what) {
  std::size_t found = 0;
  for (auto at = page.find(what); at != std::string::npos; at = page.find(what, at + 1)) ++found;
  return found;
}

TEST(SweepPart, DrawsEverySetWithIntervalsAndItsDifferenceToRandom) {
  const std::string page = page_of(write_sweep, {swept_run()});

  EXPECT_EQ(count(page, "<svg"), 2U);
  EXPECT_THAT(page, HasSubstr("lfw: difference to random"));
  EXPECT_THAT(page, HasSubstr("diffprob: 80.50 at 25 %, 92.23 at 50 %."));
  EXPECT_THAT(page, HasSubstr(">all images</text>"));
  EXPECT_THAT(page, HasSubstr("class=\"bar s0\""));
  const eval::Interval accuracy = eval::mean_interval(kPruned);
  const eval::Interval difference = eval::independent_difference(kPruned, kRandom);
  EXPECT_THAT(page, HasSubstr(fmt::format("{:.2f} \u00b1 {:.2f}", 100 * accuracy.mean,
                                          100 * accuracy.half_width.value())));
  EXPECT_THAT(page, HasSubstr(fmt::format("{:+.2f} \u00b1 {:.2f} to random", 100 * difference.mean,
                                          100 * difference.half_width.value())));
}

TEST(SweepPart, OneSeedHasNoBarsAndWithoutRandomThereIsNoDifference) {
  ReportRun run = run_named("s");
  run.sweep = {{"sets", {"lfw"}},
               {"cells", {cell("original", 1, {0.95}), cell("ccs", 0.5, {0.9})}}};

  const std::string page = page_of(write_sweep, {run});

  EXPECT_EQ(count(page, "<svg"), 1U);
  EXPECT_THAT(page, Not(HasSubstr("class=\"bar")));
  EXPECT_THAT(page, Not(HasSubstr("to random</")));
}

TEST(SweepPart, DamagedAndForeignFilesAreNoErrors) {
  EXPECT_EQ(page_of(write_sweep, {run_named("r")}), "");
  for (
      const char* text :
      {"{}", R"({"sets":3,"cells":[5,{"method":"<x>","ratio":"y"}]})",
       R"({"sets":["<u>",4],"cells":[{"method":"<x>","ratio":1e-300,"runs":[{"accuracy":{"<u>":1e308}},7]},
            {"method":"random","ratio":1e-300,"runs":{}}]})"}) {
    ReportRun run = run_named("s");
    run.sweep = nlohmann::json::parse(text);
    EXPECT_THAT(page_of(write_sweep, {run, run}), Not(HasSubstr("<x>")));
  }
}

TEST(CostPart, ShowsTheSummary) {
  ReportRun run = run_named("r");
  const auto part = [](int stages, int trained, int scored, double seconds) {
    return nlohmann::json{{"stages", stages},
                          {"images_trained", trained},
                          {"images_scored", scored},
                          {"images_left_out", 0},
                          {"seconds", seconds}};
  };
  run.summary = {
      {"cost",
       {{"original", part(1, 400, 0, 60)},
        {"scoring", part(1, 0, 100, 5)},
        {"kept", part(2, 401, 0, 61)},
        {"comparison", part(0, 0, 0, 0)},
        {"saved_per_training", {{"seconds", 30}}},
        {"pays_after", {{"never", false}, {"original_wanted", 0.2}, {"for_pruning_alone", 2.2}}},
        {"image_bytes", {{"all", 4000000}, {"kept", 1500000}}}}}};

  const std::string page = page_of(write_pruning_cost, {run});

  EXPECT_THAT(page, HasSubstr("training on the kept images (2)</th><td>401</td>"));
  EXPECT_THAT(page, Not(HasSubstr("comparison with random")));
  EXPECT_THAT(page, HasSubstr("after 0.2 such trainings"));
  EXPECT_THAT(page, HasSubstr("1.5 of 4.0 MB (37.5 %)"));

  run.summary["cost"]["pays_after"] = {{"never", true}};
  EXPECT_THAT(page_of(write_pruning_cost, {run}), HasSubstr("never pays for itself"));
}

TEST(CostPart, WritesNothingForOlderSummaries) {
  ReportRun run = run_named("r");
  EXPECT_EQ(page_of(write_pruning_cost, {run}), "");
  run.summary = {{"models", {}}};
  EXPECT_EQ(page_of(write_pruning_cost, {run}), "");
  run.summary = {{"cost", {{"original", 4}, {"kept", {{"stages", "<b>"}}}}}};
  EXPECT_EQ(page_of(write_pruning_cost, {run}), "");
}

}  // namespace
}  // namespace diffprob::launch

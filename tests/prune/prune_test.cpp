// The whole pruning and the gathering of scores, on several ranks against one process.
#include "prune/prune.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "prune/error.h"
#include "prune/methods/methods.h"
#include "tests/prune/obvious_pruning.h"
#include "tests/prune/prune_cases.h"
#include "tests/prune/whole_selection.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Prune = PruneTest;

/// Every identity by hand, in the group of its size.
void expect_fair_counts(const Fairness& fairness, const ScoreTable& table, const IndexSet& set) {
  std::map<std::int32_t, FairnessGroup> identities;
  for (std::size_t i = 0; i < set.reasons.size(); ++i) {
    FairnessGroup& one = identities[table.labels[i]];
    one.samples += 1;
    one.usable += set.reasons[i] == Reason::kMislabelled ? 0 : 1;
    one.kept += set.reasons[i] == Reason::kKept || set.reasons[i] == Reason::kKeptByFloor ? 1 : 0;
  }
  for (std::size_t g = 0; g < Fairness::kSizes.size(); ++g) {
    const std::int64_t from = Fairness::kSizes[g];
    const std::int64_t to =
        g + 1 < Fairness::kSizes.size() ? Fairness::kSizes[g + 1] : std::int64_t{1} << 40;
    FairnessGroup wanted;
    for (const auto& [identity, one] : identities) {
      if (one.samples < from || one.samples >= to) continue;
      wanted.identities += 1;
      wanted.samples += one.samples;
      wanted.usable += one.usable;
      wanted.kept += one.kept;
    }
    EXPECT_EQ(fairness.by_size[g].identities, wanted.identities);
    EXPECT_EQ(fairness.by_size[g].samples, wanted.samples);
    EXPECT_EQ(fairness.by_size[g].usable, wanted.usable);
    EXPECT_EQ(fairness.by_size[g].kept, wanted.kept);
  }
  EXPECT_EQ(fairness.all.samples, set.num_samples);
  EXPECT_EQ(fairness.all.kept, static_cast<std::int64_t>(set.kept.size()));
}

TEST_F(Prune, EveryMethodEqualsTheObviousOneAndFilesAreTheSameBytesForAnyNumberOfRanks) {
  // 2 identities: fewer than ranks.
  for (const std::int64_t identities : {2, 60, 200}) {
    const ScoreTable table =
        synthetic_table(static_cast<std::uint64_t>(identities), identities, 20);
    const PruneFiles inputs = files_of(table);
    const DynamicsTable dynamics = synthetic_dynamics(table);
    for (const Case& one : cases()) {
      const PruneResult result = prune(inputs, one.options, collectives_, work());
      auto files = files_written(result);

      IndexSet set = make_index_set({Obvious(table, dynamics, one.options).reasons()}, table.labels,
                                    identities);
      set.threshold = result.threshold();
      set.dataset_fingerprint = table.source.dataset_fingerprint;
      set.method = full_name(one.options);
      EXPECT_EQ(files["index_set.h5"], bytes_of(set))
          << one.name << ", " << identities << " identities";
      write_kept_index_text(folder_.file("kept.txt"), set);
      write_label_map_text(folder_.file("map.txt"), set);
      EXPECT_EQ(files["kept_index.txt"], read_bytes(folder_.file("kept.txt"))) << one.name;
      EXPECT_EQ(files["label_map.txt"], read_bytes(folder_.file("map.txt"))) << one.name;
    }
  }
}

TEST_F(Prune, LabelsAloneGiveWhatAScoreFileGives) {
  const ScoreTable table = synthetic_table(77, 80, 6);
  PruneFiles labels;
  labels.labels = {static_cast<std::int64_t>(table.labels.size()), table.source.num_classes,
                   table.source.dataset_fingerprint, [&](std::int64_t sample) {
                     return table.labels[static_cast<std::size_t>(sample)];
                   }};
  const PruneFiles scores = files_of(table);
  for (const char* method : {"random", "balanced", "deep"}) {
    const PruneOptions options = with(method, false, 0.4);
    auto from_labels = files_written(prune(labels, options, collectives_, work()));
    auto from_scores = files_written(prune(scores, options, collectives_, work()));
    for (const char* file : {"index_set.h5", "kept_index.txt", "label_map.txt"})
      EXPECT_EQ(from_labels[file], from_scores[file]) << method << ", " << file;
  }
  for (const auto& options : {with("balanced", true, 0.4), with("diffprob", false, 0.4)})
    EXPECT_THROW((void)prune(labels, options, collectives_, work()), PruneError);
}

TEST_F(Prune, CountsAreThoseOfTheIndexSet) {
  const ScoreTable table = synthetic_table(77, 80, 6);
  const PruneFiles inputs = files_of(table);
  for (const Case& one : cases()) {
    const auto result = prune(inputs, one.options, collectives_, work());
    write_bytes(folder_.file("set.h5"), files_written(result)["index_set.h5"]);

    const IndexSet set = read_index_set(folder_.file("set.h5"), 0);
    const auto count = [&](Reason reason) {
      return std::count(set.reasons.begin(), set.reasons.end(), reason);
    };
    EXPECT_EQ(result.mislabelled, count(Reason::kMislabelled));
    EXPECT_EQ(result.redundant, count(Reason::kRedundant));
    EXPECT_EQ(result.kept_by_floor, count(Reason::kKeptByFloor));
    EXPECT_EQ(result.usable, set.num_samples - result.mislabelled);
    EXPECT_EQ(result.kept, static_cast<std::int64_t>(set.kept.size())) << one.name;
    EXPECT_EQ(result.kept, result.usable - result.redundant);
    std::set<std::int32_t> at_floor;
    for (std::size_t i = 0; i < set.reasons.size(); ++i) {
      if (set.reasons[i] == Reason::kKeptByFloor) at_floor.insert(table.labels[i]);
    }
    std::map<std::int32_t, std::int64_t> usable;
    for (std::size_t i = 0; i < set.reasons.size(); ++i)
      usable[table.labels[i]] += set.reasons[i] == Reason::kMislabelled ? 0 : 1;
    for (const auto& [identity, n] : usable) {
      if (set.label_map[static_cast<std::size_t>(identity)] < 0) continue;
      const std::int64_t least = floor_of(one.options).of(n);
      if (one.options.method != Method::kNone && least > 1 && n > 0 && n <= least)
        at_floor.insert(identity);
    }
    if (one.options.cleaning.floor == 0) {
      EXPECT_EQ(result.identities_at_floor, static_cast<std::int64_t>(at_floor.size())) << one.name;
    }
    EXPECT_EQ(result.identities_before - result.identities_after,
              static_cast<std::int64_t>(result.vanished.size()));
    for (const auto c : result.vanished) {
      EXPECT_EQ(set.label_map[static_cast<std::size_t>(c)], -1);
      EXPECT_NE(std::count(table.labels.begin(), table.labels.end(), static_cast<std::int32_t>(c)),
                0);
    }
    if (one.options.clean && one.options.cleaning.rule == CleanRule::kMispredicted &&
        one.options.cleaning.margin == 0 && one.options.cleaning.floor == 0) {
      EXPECT_GT(result.mislabelled, 0);
    }
    expect_fair_counts(result.fairness, table, set);
  }
}

TEST_F(Prune, FairnessGroupsByTheirBorders) {
  Fairness fairness;
  for (const std::int64_t size : {0, 1, 2, 3, 4, 5, 9, 10, 99, 100, 5000})
    fairness.add(size, size, size / 2);
  std::vector<std::int64_t> identities;
  for (const auto& group : fairness.by_size) identities.push_back(group.identities);
  EXPECT_EQ(identities, (std::vector<std::int64_t>{2, 2, 2, 1, 0, 1, 2}));
  EXPECT_EQ(fairness.smaller_than(10).samples, 1 + 2 + 3 + 4 + 5 + 9);
  Fairness cleaned;
  for (const std::int64_t usable : {100, 99, 95, 94, 80, 79, 0}) cleaned.add(100, usable, usable);
  identities.clear();
  for (const auto& group : cleaned.by_mislabelled) identities.push_back(group.identities);
  EXPECT_EQ(identities, (std::vector<std::int64_t>{1, 2, 2, 2}));
}

TEST_F(Prune, WantedRatioIsOfAllSamples) {
  const ScoreTable table = synthetic_table(5, 200, 40);
  const auto searched = prune_table(table, with("diffprob", true, 0.5));

  const double n = static_cast<double>(table.labels.size());
  ASSERT_TRUE(searched.search.has_value());
  EXPECT_EQ(searched.search->target, std::llround(0.5 * n));
  EXPECT_EQ(searched.search->kept, searched.kept);
  EXPECT_NEAR(static_cast<double>(searched.kept) / n, 0.5, 0.01);
  for (const std::string& method : method_names()) {
    if (method == "diffprob" || method == "none") continue;
    EXPECT_NEAR(static_cast<double>(prune_table(table, with(method, true, 0.5)).kept) / n, 0.5,
                0.02)
        << method;
  }
}

TEST_F(Prune, DeepDiffProbIsDiffProbWhereAllCanHaveTheirDepthAndOtherwiseDeep) {
  const ScoreTable table = synthetic_table(5, 200, 40);
  for (const double ratio : {0.9, 0.1}) {
    PruneOptions both = with("deep_diffprob", false, ratio);
    both.balanced.depth = 12;
    PruneOptions alone = both;
    alone.method = ratio == 0.9 ? Method::kDiffProb : Method::kDeep;
    alone.diffprob.floor.min_kept = 12;

    const PruneResult found = prune_table(table, both);
    EXPECT_EQ(found.own_reasons, prune_table(table, alone).own_reasons) << ratio;
    EXPECT_EQ(found.search.has_value(), ratio == 0.9);
    EXPECT_EQ(found.vanished.empty(), ratio == 0.9);
  }
}

TEST(Methods, NamesReadBackAndAnUnknownOneIsRefusedWithTheKnown) {
  for (const std::string& name : method_names()) EXPECT_EQ(method_name(method_of(name)), name);
  try {
    (void)method_of("dynuncc");
    ADD_FAILURE() << "not refused";
  } catch (const PruneError& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("unknown method 'dynuncc', expected one of diffprob, random, dynunc, "
                          "el2n, forgetting, aum, ccs, balanced, balanced_easy, deep, "
                          "deep_diffprob, none"));
  }
}

TEST(Methods, FullNamesSayWhetherCleaningComesFirst) {
  std::vector<std::string> names;
  for (const FullMethod& method : full_methods_with_ratio()) names.push_back(full_name(method));

  EXPECT_THAT(
      names,
      ElementsAre("diffprob", "clean+diffprob", "random", "clean+random", "dynunc", "clean+dynunc",
                  "el2n", "clean+el2n", "forgetting", "clean+forgetting", "aum", "clean+aum", "ccs",
                  "clean+ccs", "balanced", "clean+balanced", "balanced_easy", "clean+balanced_easy",
                  "deep", "clean+deep", "deep_diffprob", "clean+deep_diffprob"));
  EXPECT_EQ(full_name(FullMethod{Method::kNone, true}), "clean");
}

TEST_F(Prune, ProgressReachesTheEnd) {
  std::int64_t last = 0;
  std::int64_t total = -1;
  const PruneWork watched{64, [&](std::string_view step, std::int64_t done, std::int64_t of) {
                            if (step == "exchange") last = done, total = of;
                          }};
  static_cast<void>(prune(files_of(synthetic_table(5, 40, 20)), {}, collectives_, watched));

  EXPECT_EQ(last, total);
  EXPECT_GT(total, 1);
}

TEST_F(Prune, DescriptionsDifferWhenResultsMay) {
  std::set<std::string> texts;
  for (const Case& one : cases()) texts.insert(describe(one.options));
  EXPECT_EQ(texts.size(), cases().size());
}

TEST_F(Prune, SummarySaysWhatHappened) {
  ScoreTable table = synthetic_table(6, 40, 8);
  for (std::size_t i = 0; i < table.labels.size(); ++i) {
    if (table.labels[i] == 7)
      table.records[i].top1 = 8;  // vanishes, and is the most frequent confusion
  }
  const auto result = prune_table(table, with("diffprob", true, 0.6));

  const auto json = nlohmann::json::parse(files_written(result)["summary.json"]);
  const auto n = static_cast<std::int64_t>(table.labels.size());
  const auto of_seven = std::count(table.labels.begin(), table.labels.end(), 7);
  ASSERT_GT(of_seven, 3);
  EXPECT_EQ(json["samples"], n);
  EXPECT_EQ(json["method"], "clean+diffprob");
  EXPECT_EQ(json["kept"], result.kept);
  EXPECT_EQ(json["ratio_wanted"], 0.6);
  EXPECT_EQ(json["ratio_achieved"], static_cast<double>(result.kept) / static_cast<double>(n));
  EXPECT_EQ(json["reasons"]["mislabelled"], result.mislabelled);
  EXPECT_EQ(json["options"]["threshold"], result.threshold());
  EXPECT_EQ(json["identities_at_floor"], result.identities_at_floor);
  EXPECT_EQ(json["search"]["curve"].size(), result.search->curve.size());
  EXPECT_EQ(json["vanished"].get<std::vector<std::int64_t>>(), result.vanished);
  EXPECT_NE(std::count(result.vanished.begin(), result.vanished.end(), 7), 0);
  EXPECT_EQ(json["confusions"][0],
            (nlohmann::json{{"label", 7}, {"top1", 8}, {"samples", of_seven}}));
  std::int64_t before = 0;
  std::int64_t after = 0;
  for (const auto& count : json["per_identity"]["before"]) before += count.get<std::int64_t>();
  for (const auto& count : json["per_identity"]["after"]) after += count.get<std::int64_t>();
  EXPECT_EQ(before, n);
  EXPECT_EQ(after, result.kept);
  EXPECT_EQ(json["per_identity"]["before"][7], of_seven);
  EXPECT_EQ(json["per_identity"]["after"][7], 0);
}

}  // namespace
}  // namespace diffprob::prune::tests

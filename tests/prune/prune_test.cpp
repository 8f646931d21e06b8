// The whole pruning and the gathering of scores, on several ranks against one process.
#include "prune/prune.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "prune/error.h"
#include "prune/files/hdf5_file.h"
#include "prune/methods/methods.h"
#include "prune/select/identity_stream.h"
#include "prune/summary.h"
#include "prune/tables/dynamics.h"
#include "tests/prune/in_memory.h"
#include "tests/prune/obvious_pruning.h"
#include "tests/prune/whole_selection.h"

namespace diffprob::prune::tests {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Case {
  std::string name;
  PruneOptions options;
};

PruneOptions with(const std::string& method, bool clean, std::optional<double> keep_ratio) {
  PruneOptions options;
  options.method = method_of(method);
  options.clean = clean;
  options.keep_ratio = keep_ratio;
  options.diffprob.threshold = 0.01;
  return options;
}

PruneOptions reference(PruneOptions options) {
  options.diffprob.preset = Preset::kReference;
  options.ranked.preset = Preset::kReference;
  options.random.draw = RandomOptions::Draw::kTail;
  return options;
}

std::vector<Case> cases() {
  std::vector<Case> all = {{"plain", with("diffprob", false, {})},
                           {"reference", reference(with("diffprob", true, {}))},
                           {"searched", with("diffprob", true, 0.4)},
                           {"most", with("diffprob", true, 1.0)},  // more than cleaning leaves
                           {"drawn", with("random", true, 0.5)},
                           {"tail", reference(with("random", false, 0.3))},
                           {"cleaning", with("none", true, {})}};
  for (const char* method : {"dynunc", "el2n", "forgetting", "aum"}) {
    all.push_back({method, with(method, false, 0.5)});
    all.push_back({std::string("clean ") + method, reference(with(method, true, 0.3))});
    PruneOptions lowest = with(method, true, 0.5);
    lowest.ranked.keep = RankedOptions::Keep::kLowest;
    all.push_back({std::string("lowest ") + method, lowest});
  }
  for (const auto kind : {ScoreKind::kLastEpoch, ScoreKind::kMean}) {
    PruneOptions options = with("diffprob", kind == ScoreKind::kMean, 0.5);
    options.score = kind;
    all.push_back({kind == ScoreKind::kMean ? "mean" : "last epoch", options});
    all.push_back({kind == ScoreKind::kMean ? "mean, reference" : "last epoch, reference",
                   reference(options)});
  }
  for (const auto score : {CcsOptions::Score::kAum, CcsOptions::Score::kEl2n}) {
    PruneOptions options = with("ccs", score == CcsOptions::Score::kAum, 0.3);
    options.ccs.score = score;
    all.push_back({"ccs", options});
    options.keep_ratio = 0.05;  // most identities need the floor
    options.ccs.beta = 0.4;
    all.push_back({"ccs, few", options});
  }
  for (const char* method : {"random", "el2n"}) {
    PruneOptions matched = with(method, true, 0.3);
    matched.match_ratio = true;
    all.push_back({std::string("matched ") + method, matched});
  }
  PruneOptions confident = with("none", true, {});
  confident.cleaning.rule = CleanRule::kConfident;
  all.push_back({"confident", confident});
  PruneOptions sure = with("diffprob", true, {});
  sure.cleaning.margin = 0.7;
  sure.diffprob.floor = {3, 0.5};
  all.push_back({"clean margin, share as floor", sure});
  return all;
}

/// A table of dynamics for the same samples: few distinct values, so that there are ties.
DynamicsTable synthetic_dynamics(const ScoreTable& scores) {
  Draws draws(scores.labels.size());
  DynamicsTable table;
  table.source = scores.source;
  table.labels = scores.labels;
  table.epochs = 20;
  for (std::size_t i = 0; i < table.labels.size(); ++i) {
    const bool coarse = table.labels[i] % 3 == 0;
    const auto draw = [&] {
      return coarse ? 0.125 * static_cast<double>(draws.below(5)) : draws.uniform();
    };
    table.rows.mean_probability.push_back(draw());
    table.rows.uncertainty.push_back(draw());
    table.rows.aum.push_back(static_cast<float>(10 * draw() - 3));
    table.rows.forgetting.push_back(static_cast<std::int32_t>(draws.below(21)));
    table.rows.last_probability.push_back(static_cast<float>(draw()));
    table.rows.last_correct.push_back(static_cast<std::uint8_t>(draws.below(2)));
  }
  return table;
}

class Prune : public ::testing::Test {
 protected:
  /// Writes both files, each rank its own copy.
  PruneFiles files_of(const ScoreTable& table) {
    const PruneFiles files{folder_.file("scores.h5"), folder_.file("dynamics.h5"), ""};
    write_scores(files.scores, table);
    write_dynamics(files.dynamics, synthetic_dynamics(table));
    return files;
  }
  PruneResult prune_table(const ScoreTable& table, const PruneOptions& options) {
    return prune(files_of(table), options, collectives_, work());
  }
  /// Small blocks, so that every rank reads some, several times.
  [[nodiscard]] static PruneWork work() { return {64, {}}; }
  std::string refusal(const ScoreTable& table, const PruneOptions& options) {
    return message_of<PruneError>([&] { static_cast<void>(prune_table(table, options)); });
  }
  /// What the files say, on every rank: they are written where rank 0 says.
  std::map<std::string, std::string> files_written(const PruneResult& result) {
    const std::string shared = collectives_.broadcast(folder_.file("."), 0);
    write_pruning(shared, result, collectives_);
    collectives_.barrier("files written");
    std::map<std::string, std::string> files;
    for (const char* name : {"index_set.h5", "kept_index.txt", "label_map.txt", "summary.json"})
      files[name] = read_bytes(shared + "/" + name);
    collectives_.barrier("files read");
    return files;
  }
  std::string bytes_of(const IndexSet& set) {
    write_index_set(folder_.file("expected.h5"), set);
    return read_bytes(folder_.file("expected.h5"));
  }
  dist::HostCollectives collectives_;
  TemporaryFolder folder_;
};

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
    EXPECT_EQ(result.identities_at_floor, static_cast<std::int64_t>(at_floor.size())) << one.name;
    EXPECT_EQ(result.identities_before - result.identities_after,
              static_cast<std::int64_t>(result.vanished.size()));
    for (const auto c : result.vanished) {
      EXPECT_EQ(set.label_map[static_cast<std::size_t>(c)], -1);
      EXPECT_NE(std::count(table.labels.begin(), table.labels.end(), static_cast<std::int32_t>(c)),
                0);
    }
    if (one.options.clean && one.options.cleaning.rule == CleanRule::kMispredicted &&
        one.options.cleaning.margin == 0) {
      EXPECT_GT(result.mislabelled, 0);
    }
  }
}

TEST_F(Prune, WantedRatioIsOfAllSamples) {
  const ScoreTable table = synthetic_table(5, 200, 40);
  const auto searched = prune_table(table, with("diffprob", true, 0.5));

  const double n = static_cast<double>(table.labels.size());
  ASSERT_TRUE(searched.search.has_value());
  EXPECT_EQ(searched.search->target, std::llround(0.5 * n));
  EXPECT_EQ(searched.search->kept, searched.kept);
  EXPECT_NEAR(static_cast<double>(searched.kept) / n, 0.5, 0.01);
  for (const char* method : {"random", "dynunc", "el2n", "aum", "forgetting", "ccs"}) {
    EXPECT_NEAR(static_cast<double>(prune_table(table, with(method, true, 0.5)).kept) / n, 0.5,
                0.02)
        << method;
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
                          "el2n, forgetting, aum, ccs, none"));
  }
}

TEST(Methods, FullNamesSayWhetherCleaningComesFirst) {
  std::vector<std::string> names;
  for (const FullMethod& method : full_methods_with_ratio()) names.push_back(full_name(method));

  EXPECT_THAT(names, ElementsAre("diffprob", "clean+diffprob", "random", "clean+random", "dynunc",
                                 "clean+dynunc", "el2n", "clean+el2n", "forgetting",
                                 "clean+forgetting", "aum", "clean+aum", "ccs", "clean+ccs"));
  EXPECT_EQ(full_name(FullMethod{Method::kNone, true}), "clean");
}

TEST_F(Prune, BadOptionsAndScoresAreRefusedOnAllRanks) {
  const ScoreTable good = synthetic_table(5, 20, 10);
  const auto refused = [&](auto&& change) {
    PruneOptions options;
    change(options);
    return refusal(good, options);
  };
  for (const double ratio : {0.0, -0.5, 1.01, std::nan("")}) {
    EXPECT_THAT(refused([&](auto& o) { o.keep_ratio = ratio; }), HasSubstr("keep_ratio is"));
  }
  for (const double threshold : {0.0, -1e-5, std::nan("")}) {
    EXPECT_THAT(refused([&](auto& o) { o.diffprob.threshold = threshold; }),
                HasSubstr("threshold is"));
  }
  EXPECT_THAT(refused([](auto& o) { o.diffprob.floor.min_kept = 0; }), HasSubstr("min_kept is 0"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kNone, o.keep_ratio = 0.5; }),
              HasSubstr("has no keep_ratio"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kRandom, o.random.fraction = 2; }),
              HasSubstr("fraction is 2"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kEl2n, o.ranked.fraction = -1; }),
              HasSubstr("fraction is -1"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kCcs; }),
              HasSubstr("ccs needs a keep_ratio"));
  EXPECT_THAT(refused([](auto& o) { o.method = Method::kCcs, o.keep_ratio = 0.5, o.ccs.beta = 1; }),
              HasSubstr("beta is 1"));
  EXPECT_THAT(
      refused([](auto& o) { o.method = Method::kCcs, o.keep_ratio = 0.5, o.ccs.strata = 0; }),
      HasSubstr("0 strata"));
  EXPECT_THAT(refused([](auto& o) { o.cleaning.margin = -1; }), HasSubstr("clean_margin is -1"));
  ScoreTable wrong = good;
  for (std::size_t i = 0; i < wrong.labels.size(); ++i)
    wrong.records[i].top1 = (wrong.labels[i] + 1) % 20;
  EXPECT_THAT(refusal(wrong, {}), HasSubstr("no sample is left"));
}

/// A file of good rows of which some are then overwritten: the writer refuses bad ones.
void spoil(const std::string& path, const char* column, std::size_t row, float value) {
  const HdfHandle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  const HdfHandle data(H5Dopen2(file.get(), column, H5P_DEFAULT), H5Dclose);
  const HdfHandle space(H5Dget_space(data.get()), H5Sclose);
  const hsize_t start = row;
  const hsize_t one = 1;
  const HdfHandle memory(H5Screate_simple(1, &one, nullptr), H5Sclose);
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &one, nullptr);
  ASSERT_GE(H5Dwrite(data.get(), H5T_NATIVE_FLOAT, memory.get(), space.get(), H5P_DEFAULT, &value),
            0);
}

TEST_F(Prune, BadRowsAreNamedOnAllRanks) {
  const ScoreTable table = synthetic_table(5, 40, 10);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto refused = [&](const char* file, const char* column, float value,
                           const PruneOptions& options) {
    const PruneFiles files = files_of(table);
    spoil(std::string(file) == "scores" ? files.scores : files.dynamics, column, 70, value);
    return message_of<PruneError>(
        [&] { static_cast<void>(prune(files, options, collectives_, work())); });
  };
  const PruneOptions plain = with("diffprob", false, {});
  EXPECT_THAT(refused("scores", "nll", nan, plain), HasSubstr("1 bad values: row 70: nll is nan"));
  EXPECT_THAT(refused("scores", "nll", -0.5F, plain), HasSubstr("row 70: nll is -0.5"));
  EXPECT_THAT(refused("scores", "probability", 1.5F, reference(plain)),
              HasSubstr("row 70: probability is 1.5"));
  EXPECT_THAT(refused("scores", "top1", 4000, with("none", true, {})),
              HasSubstr("row 70: top1 is 4000"));
  EXPECT_THAT(refused("scores", "label", 4000, plain), HasSubstr("row 70: label is 4000"));
  EXPECT_THAT(refused("scores", "sum_p2", nan, with("el2n", false, 0.5)),
              HasSubstr("row 70: sum_p2 is nan"));
  EXPECT_THAT(refused("dynamics", "uncertainty", nan, with("dynunc", false, 0.5)),
              HasSubstr("row 70: uncertainty is"));
  EXPECT_THAT(
      refused("dynamics", "aum", std::numeric_limits<float>::infinity(), with("aum", false, 0.5)),
      HasSubstr("row 70: aum is inf"));
  EXPECT_THAT(refused("dynamics", "forgetting", -1, with("forgetting", false, 0.5)),
              HasSubstr("row 70: forgetting is -1"));
  PruneOptions mean = plain;
  mean.score = ScoreKind::kMean;
  EXPECT_THAT(refused("dynamics", "mean_probability", 2, mean),
              HasSubstr("row 70: mean_probability is 2"));
  EXPECT_EQ(refused("scores", "norm", nan, plain), "")
      << "columns that the method does not need are not read";
}

TEST_F(Prune, FilesThatCannotGiveWhatIsAskedAreRefused) {
  ScoreTable table = synthetic_table(5, 20, 10);
  const PruneFiles files = files_of(table);
  const auto refused = [&](const PruneFiles& some, const PruneOptions& options) {
    return message_of<PruneError>(
        [&] { static_cast<void>(prune(some, options, collectives_, work())); });
  };
  PruneOptions confident = with("none", true, {});
  confident.cleaning.rule = CleanRule::kConfident;
  EXPECT_THAT(refused({"", files.dynamics, ""}, with("diffprob", false, {})),
              HasSubstr("give prune.scores"));
  EXPECT_THAT(refused({"", files.dynamics, ""}, with("dynunc", true, 0.5)),
              HasSubstr("or prune.clean=false"));
  EXPECT_THAT(refused({files.scores, "", ""}, with("dynunc", true, 0.5)),
              HasSubstr("give prune.dynamics"));
  EXPECT_THAT(refused({files.dynamics, "", ""}, with("random", false, 0.5)),
              HasSubstr("expected 'diffprob-scores'"));
  EXPECT_EQ(refused({"", files.dynamics, ""}, with("random", false, 0.5)), "")
      << "labels come from either file";
  EXPECT_EQ(refused({files.scores, "", ""}, with("random", false, 0.5)), "");
  EXPECT_THAT(refused({files.scores, "", "another"}, with("diffprob", true, 0.5)),
              HasSubstr("to a different data set"));
  EXPECT_EQ(
      refused({files.scores, "", table.source.dataset_fingerprint}, with("diffprob", true, 0.5)),
      "");
  table.source.margin = 0.35;
  const std::string margin = folder_.file("margin.h5");
  write_scores(margin, table);
  EXPECT_THAT(refused({margin, "", ""}, with("el2n", false, 0.5)),
              HasSubstr("scored with margin 0.35"));
  EXPECT_THAT(refused({margin, "", ""}, confident), HasSubstr("score again with score.margin=0"));
  EXPECT_EQ(refused({margin, "", ""}, with("diffprob", true, 0.5)), "");
  DynamicsTable dynamics = synthetic_dynamics(table);
  dynamics.epochs = 10;
  dynamics.rows.forgetting.assign(dynamics.labels.size(), 1);
  const std::string short_training = folder_.file("short.h5");
  write_dynamics(short_training, dynamics);
  EXPECT_THAT(refused({"", short_training, ""}, with("dynunc", false, 0.5)),
              HasSubstr("needs more than its window of 10"));
  dynamics.source.dataset_fingerprint = "other";
  write_dynamics(short_training, dynamics);
  EXPECT_THAT(refused({files.scores, short_training, ""}, with("aum", true, 0.5)),
              HasSubstr("a different data set"));
}

TEST_F(Prune, FilesThatDifferBetweenRanksAreRefused) {
  if (collectives_.world_size() == 1) GTEST_SKIP() << "one rank";
  ScoreTable table = synthetic_table(5, 20, 10);
  if (collectives_.rank() == 1) table.source.dataset_fingerprint = "other";

  EXPECT_THAT(refusal(table, {}), HasSubstr("rank 1 reads a different file"));
}

TEST_F(Prune, AFileThatOneRankCannotReadIsAnErrorOnAll) {
  const ScoreTable table = synthetic_table(5, 20, 10);
  PruneFiles files = files_of(table);
  if (collectives_.rank() == collectives_.world_size() - 1)
    files.scores = folder_.file("missing.h5");

  EXPECT_THAT(
      message_of<PruneError>([&] { static_cast<void>(prune(files, {}, collectives_, work())); }),
      HasSubstr("missing.h5"));
}

TEST_F(Prune, AFolderThatCannotBeWrittenIsAnErrorOnAll) {
  const auto result = prune_table(synthetic_table(5, 20, 10), {});

  EXPECT_THAT(
      message_of<PruneError>([&] { write_pruning(folder_.file("no/such"), result, collectives_); }),
      HasSubstr("cannot create"));
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

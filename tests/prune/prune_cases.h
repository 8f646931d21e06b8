// Cases of pruning, tables for them, and a fixture that runs them on all ranks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "dist/mpi/host_collectives.h"
#include "prune/error.h"
#include "prune/methods/methods.h"
#include "prune/prune.h"
#include "prune/summary.h"
#include "prune/tables/dynamics.h"
#include "tests/prune/in_memory.h"

namespace diffprob::prune::tests {

struct Case {
  std::string name;
  PruneOptions options;
};

inline PruneOptions with(const std::string& method, bool clean, std::optional<double> keep_ratio) {
  PruneOptions options;
  options.method = method_of(method);
  options.clean = clean;
  options.keep_ratio = keep_ratio;
  options.diffprob.threshold = 0.01;
  return options;
}

inline PruneOptions reference(PruneOptions options) {
  options.diffprob.preset = Preset::kReference;
  options.ranked.preset = Preset::kReference;
  options.random.draw = RandomOptions::Draw::kTail;
  return options;
}

inline std::vector<Case> cases() {
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
  for (const double ratio : {0.02, 0.3, 0.45, 0.9, 1.0}) {
    PruneOptions options = with("balanced", ratio == 0.45, ratio);
    if (ratio > 0.3) options.balanced.floor = {2, ratio == 0.9 ? 0.5 : 0.0};
    all.push_back({"balanced " + std::to_string(ratio), options});
    options.method = Method::kBalancedEasy;
    if (ratio == 0.45) options.balanced.easy_share = 0.4;
    all.push_back({"balanced_easy " + std::to_string(ratio), options});
    options.method = Method::kDeep;
    if (ratio != 0.3) options.balanced.depth = ratio == 0.9 ? 40 : 5;
    all.push_back({"deep " + std::to_string(ratio), options});
    options.method = Method::kDeepDiffProb;
    all.push_back({"deep_diffprob " + std::to_string(ratio), options});
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
  for (const char* method : {"none", "diffprob", "random"}) {
    const std::optional<double> ratio =
        method_of(method) == Method::kRandom ? std::optional<double>(0.5) : std::nullopt;
    PruneOptions precise = with(method, true, ratio);
    precise.cleaning.precision = 0.1;
    all.push_back({std::string("precision, ") + method, precise});
    precise.cleaning.precision = 0;
    precise.cleaning.floor = 9;
    all.push_back({std::string("clean floor, ") + method, precise});
    precise.cleaning.rule = CleanRule::kConfident;
    precise.cleaning.precision = 0.05;
    precise.cleaning.floor = 1000;
    all.push_back({std::string("confident, precision, all back, ") + method, precise});
  }
  return all;
}

/// A table of dynamics for the same samples. Some identities have few distinct values, so that
/// there are ties.
inline DynamicsTable synthetic_dynamics(const ScoreTable& scores) {
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

class PruneTest : public ::testing::Test {
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
  /// Returns the contents of the files, on every rank. They are written where rank 0 says.
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

}  // namespace diffprob::prune::tests

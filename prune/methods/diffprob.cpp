#include "prune/methods/json.h"
#include "prune/methods/row.h"
#include "prune/methods/searched_threshold.h"

namespace diffprob::prune {
namespace {

Key key(const PruneOptions& options) {
  if (options.score == ScoreKind::kMean) return Key::kMeanProbability;
  if (options.score == ScoreKind::kLastEpoch) return Key::kLastProbability;
  if (options.score == ScoreKind::kScoresMean) return Key::kScoresMean;
  return options.diffprob.preset == Preset::kReference ? Key::kProbability : Key::kNll;
}

void check_own(const PruneOptions& options) {
  check(options.diffprob);
}

void describe(const PruneOptions& options, nlohmann::ordered_json& json) {
  json["score"] = options.score == ScoreKind::kMean         ? "mean"
                  : options.score == ScoreKind::kLastEpoch  ? "last_epoch"
                  : options.score == ScoreKind::kScoresMean ? "scores_mean"
                                                            : "scores";
  json["preset"] = preset_name(options.diffprob.preset);
  add_floor(json, options.diffprob.floor);
  json["threshold"] = options.diffprob.threshold;
}

void search(Selecting& on, const SortedIdentities& sorted, DiffProbOptions& options) {
  on.seconds.time("search", [&] {
    ThresholdCounter counter(sorted, options);
    on.search = search_threshold(on.target(), on.usable, [&](std::span<const double> thresholds) {
      auto kept = counter.count(thresholds);
      on.collectives.all_reduce(std::span<std::int64_t>(kept), dist::ReduceOp::kSum);
      return kept;
    });
  });
  options.threshold = on.search->threshold;
}

void select(Selecting& on) {
  DiffProbOptions& options = on.options.diffprob;
  if (on.options.keep_ratio) return select_by_searched_threshold(on, options);
  const SortedIdentities sorted = on.sort(options.preset);
  on.seconds.time("select", [&] { select_diffprob(sorted, options, on.decided); });
}

}  // namespace

void select_by_searched_threshold(Selecting& on, DiffProbOptions& options) {
  const SortedIdentities sorted = on.sort(options.preset);
  search(on, sorted, options);
  on.seconds.time("select", [&] { select_diffprob(sorted, options, on.decided); });
}

const MethodRow kDiffProbRow{.method = Method::kDiffProb,
                             .name = "diffprob",
                             .needs = "scores or dynamics",
                             .what =
                                 "walks down the sorted probabilities of each identity and keeps "
                                 "samples more than a threshold apart",
                             .key = key,
                             .check = check_own,
                             .describe = describe,
                             .select = select};

}  // namespace diffprob::prune

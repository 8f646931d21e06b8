#include <algorithm>

#include "prune/methods/json.h"
#include "prune/methods/row.h"
#include "prune/methods/searched_threshold.h"

namespace diffprob::prune {
namespace {

void check_own(const PruneOptions& options) {
  check(options.balanced);
}

void describe(const PruneOptions& options, nlohmann::ordered_json& json) {
  add_floor(json, options.balanced.floor);
  json["seed"] = options.balanced.seed;
}

void select_with_depth(Selecting& on, std::int64_t depth) {
  on.seconds.time("select", [&] {
    const BalancedOptions& options = on.options.balanced;
    const EvenBudgets budgets(on.counts, options.floor, on.target(), depth);
    select_balanced(on.slots, budgets, options.seed, on.decided);
  });
}

void select(Selecting& on) {
  select_with_depth(on, 0);
}

void describe_deep(const PruneOptions& options, nlohmann::ordered_json& json) {
  describe(options, json);
  json["depth"] = options.balanced.depth;
}

void select_deep(Selecting& on) {
  select_with_depth(on, on.options.balanced.depth);
}

/// Images of all identities together when each keeps this floor, or all that it has.
std::int64_t at_floor(const IdentityCounts& counts, const Floor& floor) {
  std::int64_t sum = 0;
  for (std::int64_t c = 0; c < counts.num_classes(); ++c)
    sum += std::min(counts.usable(c), floor.of(counts.usable(c)));
  return sum;
}

void select_deep_diffprob(Selecting& on) {
  DiffProbOptions options;
  options.floor = on.options.balanced.floor;
  options.floor.min_kept = std::max(options.floor.min_kept, on.options.balanced.depth);
  if (at_floor(on.counts, options.floor) <= on.target()) {
    select_by_searched_threshold(on, options);
  } else {
    select_deep(on);
  }
}

void describe_easy(const PruneOptions& options, nlohmann::ordered_json& json) {
  describe(options, json);
  json["easy_share"] = options.balanced.easy_share;
}

void select_easy(Selecting& on) {
  const SortedIdentities sorted = on.sort(Preset::kDefault);
  on.seconds.time("select", [&] {
    const BalancedOptions& options = on.options.balanced;
    const EvenBudgets budgets(on.counts, options.floor, on.target());
    select_balanced_easy(on.slots, sorted, budgets, options, on.decided);
  });
}

}  // namespace

const MethodRow kBalancedRow{
    .method = Method::kBalanced,
    .name = "balanced",
    .needs = "labels",
    .what = "keeps the same number of each identity as far as it has them, drawn by seed",
    .keep_ratio = MethodRow::KeepRatio::kNeeded,
    .is_drawn = true,
    .check = check_own,
    .describe = describe,
    .select = select};

const MethodRow kBalancedEasyRow{
    .method = Method::kBalancedEasy,
    .name = "balanced_easy",
    .needs = "scores",
    .what = "balanced, drawn from the samples of each identity with the largest probabilities",
    .keep_ratio = MethodRow::KeepRatio::kNeeded,
    .is_drawn = true,
    .key = [](const PruneOptions&) { return Key::kNll; },
    .check = check_own,
    .describe = describe_easy,
    .select = select_easy};

const MethodRow kDeepRow{
    .method = Method::kDeep,
    .name = "deep",
    .needs = "labels",
    .what = "balanced, but only the largest identities, as many as can keep prune.depth each",
    .keep_ratio = MethodRow::KeepRatio::kNeeded,
    .is_drawn = true,
    .check = check_own,
    .describe = describe_deep,
    .select = select_deep};

const MethodRow kDeepDiffProbRow{
    .method = Method::kDeepDiffProb,
    .name = "deep_diffprob",
    .needs = "scores",
    .what =
        "diffprob with prune.depth as its floor; deep where the ratio has not that many for all",
    .keep_ratio = MethodRow::KeepRatio::kNeeded,
    .is_drawn = true,
    .key = [](const PruneOptions&) { return Key::kNll; },
    .check = check_own,
    .describe = describe_deep,
    .select = select_deep_diffprob};

}  // namespace diffprob::prune

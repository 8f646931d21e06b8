#include "prune/methods/deep.h"
#include "prune/methods/json.h"
#include "prune/methods/row.h"

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

void select_deep(Selecting& on) {
  select_with_depth(on, on.options.balanced.depth);
}

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

}  // namespace diffprob::prune

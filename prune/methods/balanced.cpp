#include "prune/methods/json.h"
#include "prune/methods/row.h"

namespace diffprob::prune {
namespace {

void check_own(const PruneOptions& options) {
  check(options.balanced.floor);
}

void describe(const PruneOptions& options, nlohmann::ordered_json& json) {
  add_floor(json, options.balanced.floor);
  json["seed"] = options.balanced.seed;
}

void select(Selecting& on) {
  on.seconds.time("select", [&] {
    const BalancedOptions& options = on.options.balanced;
    const EvenBudgets budgets(on.counts, options.floor, on.target());
    select_balanced(on.slots, budgets, options.seed, on.decided);
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

}  // namespace diffprob::prune

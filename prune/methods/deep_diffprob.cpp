#include <algorithm>

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
  json["depth"] = options.balanced.depth;
  json["seed"] = options.balanced.seed;
}

/// Images of all identities together when each keeps this floor, or all that it has.
std::int64_t at_floor(const IdentityCounts& counts, const Floor& floor) {
  std::int64_t sum = 0;
  for (std::int64_t c = 0; c < counts.num_classes(); ++c)
    sum += std::min(counts.usable(c), floor.of(counts.usable(c)));
  return sum;
}

void select(Selecting& on) {
  DiffProbOptions options;
  options.floor = on.options.balanced.floor;
  options.floor.min_kept = std::max(options.floor.min_kept, on.options.balanced.depth);
  if (at_floor(on.counts, options.floor) <= on.target()) {
    select_by_searched_threshold(on, options);
  } else {
    select_deep(on);
  }
}

}  // namespace

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
    .describe = describe,
    .select = select};

}  // namespace diffprob::prune

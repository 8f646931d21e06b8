#include "prune/methods/json.h"
#include "prune/methods/row.h"

namespace diffprob::prune {
namespace {

Key key(const PruneOptions& options) {
  return options.ccs.score == CcsOptions::Score::kAum ? Key::kAum : Key::kEl2n;
}

/// A small margin is hard, a large EL2N too.
bool smallest_first(const PruneOptions& options) {
  return options.ccs.score == CcsOptions::Score::kAum;
}

void check_own(const PruneOptions& options) {
  check(options.ccs);
}

void describe(const PruneOptions& options, nlohmann::ordered_json& json) {
  json["score"] = options.ccs.score == CcsOptions::Score::kEl2n ? "el2n" : "aum";
  json["beta"] = options.ccs.beta;
  json["strata"] = options.ccs.strata;
  add_floor(json, options.ccs.floor);
  json["seed"] = options.ccs.seed;
}

void select(Selecting& on) {
  std::vector<double>& hardness = on.keys.doubles;
  hardness.insert(hardness.end(), on.keys.floats.begin(), on.keys.floats.end());
  on.seconds.time("select", [&] {
    select_ccs(on.slots, hardness, on.target(), on.options.ccs, on.collectives, on.decided);
  });
}

}  // namespace

const MethodRow kCcsRow{
    .method = Method::kCcs,
    .name = "ccs",
    .needs = "dynamics or scores",
    .what = "coverage-centric: drops the hardest share, then draws evenly from strata of the rest",
    .keep_ratio = MethodRow::KeepRatio::kNeeded,
    .is_drawn = true,
    .key = key,
    .smallest_first = smallest_first,
    .check = check_own,
    .describe = describe,
    .select = select};

}  // namespace diffprob::prune

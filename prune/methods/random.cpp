#include "prune/methods/json.h"
#include "prune/methods/row.h"

namespace diffprob::prune {
namespace {

void check_own(const PruneOptions& options) {
  check(options.random);
}

void describe(const PruneOptions& options, nlohmann::ordered_json& json) {
  json["fraction"] = options.random.fraction;
  add_floor(json, options.random.floor);
  json["seed"] = options.random.seed;
  json["draw"] = options.random.draw == RandomOptions::Draw::kTail ? "tail" : "random";
}

void select(Selecting& on) {
  RandomOptions& options = on.options.random;
  const bool tail = options.draw == RandomOptions::Draw::kTail;
  options.fraction =
      on.fraction(options.fraction, tail ? Preset::kReference : Preset::kDefault, options.floor);
  on.seconds.time("select", [&] { select_random(on.slots, options, on.decided); });
}

}  // namespace

const MethodRow kRandomRow{.method = Method::kRandom,
                           .name = "random",
                           .needs = "labels",
                           .what =
                               "keeps the same share of each identity, drawn by seed: the baseline "
                               "that every method must beat",
                           .is_drawn = true,
                           .check = check_own,
                           .describe = describe,
                           .select = select};

}  // namespace diffprob::prune

#include "prune/methods/json.h"
#include "prune/methods/row.h"

namespace diffprob::prune {
namespace {

bool smallest_first(const PruneOptions& options) {
  return options.ranked.keep == RankedOptions::Keep::kLowest;
}

void check_own(const PruneOptions& options) {
  check(options.ranked);
}

void describe(const PruneOptions& options, nlohmann::ordered_json& json) {
  json["fraction"] = options.ranked.fraction;
  add_floor(json, options.ranked.floor);
  json["preset"] = preset_name(options.ranked.preset);
  json["keep"] = options.ranked.keep == RankedOptions::Keep::kLowest ? "lowest" : "highest";
  if (options.method == Method::kDynUnc && options.ranked.window != 0)
    json["window"] = options.ranked.window;
}

void select(Selecting& on) {
  RankedOptions& options = on.options.ranked;
  options.fraction = on.fraction(options.fraction, options.preset, options.floor);
  const SortedIdentities sorted = on.sort(options.preset);
  on.seconds.time("select", [&] { select_ranked(sorted, options, on.decided); });
}

template <Key kKey>
constexpr MethodRow ranked(Method method, const char* name, const char* needs, const char* what) {
  return {.method = method,
          .name = name,
          .needs = needs,
          .what = what,
          .key = [](const PruneOptions&) { return kKey; },
          .smallest_first = smallest_first,
          .check = check_own,
          .describe = describe,
          .select = select};
}

}  // namespace

const MethodRow kDynUncRow =
    ranked<Key::kUncertainty>(Method::kDynUnc, "dynunc", "dynamics",
                              "keeps the most uncertain samples: deviation of the probability over "
                              "windows of training epochs");
const MethodRow kEl2nRow = ranked<Key::kEl2n>(Method::kEl2n, "el2n", "scores",
                                              "keeps the samples with the largest distance between "
                                              "predicted probabilities and the one-hot label");
const MethodRow kForgettingRow = ranked<Key::kForgetting>(
    Method::kForgetting, "forgetting", "dynamics",
    "keeps the samples most often forgotten in training; never learned counts as most often");
const MethodRow kAumRow = ranked<Key::kAum>(
    Method::kAum, "aum", "dynamics",
    "keeps the samples with the largest mean margin over training: drops what looks mislabelled");

}  // namespace diffprob::prune

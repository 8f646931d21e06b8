#include "prune/methods.h"

#include <algorithm>
#include <cmath>

#include "prune/error.h"

namespace diffprob::prune {

const std::vector<Method>& methods() {
  static const std::vector<Method> table = {
      {"diffprob", "scores or dynamics",
       "walks down the probabilities of an identity, keeps what lies more than a threshold apart"},
      {"random", "labels",
       "the same share of each identity, drawn by seed: the bar that every method must beat"},
      {"dynunc", "dynamics",
       "keeps the most uncertain: deviation of the probability over windows of training epochs"},
      {"el2n", "scores",
       "keeps the largest distance between predicted probabilities and the one-hot label"},
      {"forgetting", "dynamics",
       "keeps the most often forgotten in training; never learned counts as most"},
      {"aum", "dynamics",
       "keeps the largest mean margin over training: drops what looks mislabelled"},
      {"ccs", "dynamics or scores",
       "coverage-centric: drops the hardest share, draws evenly from strata of the rest"},
      {"none", "scores", "cleaning alone"}};
  return table;
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Method& method : methods()) names.push_back(method.name);
  return names;
}

std::string methods_text() {
  std::string text;
  for (const Method& method : methods()) {
    std::string line = "  " + method.name;
    line.resize(14, ' ');
    line += method.needs;
    line.resize(34, ' ');
    text += line + method.what + "\n";
  }
  return text;
}

bool needs_dynamics(const PruneOptions& options) {
  return (options.method == "diffprob" && options.score != ScoreKind::kScores) ||
         (is_ranked(options.method) && options.method != "el2n") ||
         (options.method == "ccs" && options.ccs.score == CcsOptions::Score::kAum);
}

bool is_ranked(const std::string& method) {
  return method == "dynunc" || method == "el2n" || method == "forgetting" || method == "aum";
}

void check(const PruneOptions& options) {
  const auto names = method_names();
  if (std::find(names.begin(), names.end(), options.method) == names.end()) {
    std::string known;
    for (const auto& name : names) known += (known.empty() ? "" : ", ") + name;
    throw PruneError("prune: unknown method '" + options.method + "', expected one of " + known);
  }
  if (options.keep_ratio && !(*options.keep_ratio > 0 && *options.keep_ratio <= 1)) {
    throw PruneError("prune: keep_ratio is " + std::to_string(*options.keep_ratio) +
                     ", expected above 0 and at most 1");
  }
  if (options.keep_ratio && options.method == "none")
    throw PruneError("prune: method none (cleaning alone) has no keep_ratio");
  if (!options.keep_ratio && options.method == "ccs")
    throw PruneError("prune: method ccs needs a keep_ratio");
  if (!(options.cleaning.margin >= 0 && std::isfinite(options.cleaning.margin))) {
    throw PruneError("prune: clean_margin is " + std::to_string(options.cleaning.margin) +
                     ", expected a finite number, 0 or more");
  }
  if (options.method == "diffprob") check(options.diffprob);
  if (options.method == "random") check(options.random);
  if (options.method == "ccs") check(options.ccs);
  if (is_ranked(options.method)) check(options.ranked);
}

std::string full_name(const PruneOptions& options) {
  if (!options.clean) return options.method;
  return options.method == "none" ? "clean" : "clean+" + options.method;
}

}  // namespace diffprob::prune

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "prune/select/ccs.h"
#include "prune/select/cleaning.h"
#include "prune/select/diffprob.h"
#include "prune/select/random.h"
#include "prune/select/ranked.h"

namespace diffprob::prune {

/// Where DiffProb's score of a sample comes from.
enum class ScoreKind {
  kScores,     ///< the score file
  kLastEpoch,  ///< the last training epoch (dynamics file)
  kMean,       ///< mean probability over the training epochs (dynamics file)
};

struct PruneOptions {
  std::string method = "diffprob";   ///< see methods()
  bool clean = true;                 ///< drop mislabelled samples first
  std::optional<double> keep_ratio;  ///< of all N samples, above 0 to 1. diffprob: the threshold is
                                     ///< searched. ccs needs it
  /// random and the ranked methods: the fraction is searched so that keep_ratio is met as nearly as
  /// floors and rounding allow, for comparisons at equal size. Otherwise it is keep_ratio of the
  /// usable samples, rounded down in each identity, as the paper has it.
  bool match_ratio = false;
  ScoreKind score = ScoreKind::kScores;  ///< of diffprob
  CleanOptions cleaning;
  DiffProbOptions diffprob;
  RandomOptions random;
  RankedOptions ranked;
  CcsOptions ccs;
};

/// What a pruning reads. Either may be empty when the method does not need it (methods()).
struct PruneFiles {
  std::string scores;               ///< score file
  std::string dynamics;             ///< dynamics file
  std::string dataset_fingerprint;  ///< when given: scores of another data set are refused
};

struct Method {
  std::string name;
  std::string needs;  ///< recorded numbers
  std::string what;   ///< one line
};
/// In the order of the help text.
[[nodiscard]] const std::vector<Method>& methods();
[[nodiscard]] std::vector<std::string> method_names();
/// The table for a terminal.
[[nodiscard]] std::string methods_text();

/// Whether the pruning reads a dynamics file.
[[nodiscard]] bool needs_dynamics(const PruneOptions& options);
/// The one of select_ranked: dynunc, el2n, forgetting, aum.
[[nodiscard]] bool is_ranked(const std::string& method);
/// Throws PruneError on an unknown method (the known ones are listed) and on options outside their
/// ranges.
void check(const PruneOptions& options);
/// "diffprob", "clean+diffprob", "clean" (method none), ...
[[nodiscard]] std::string full_name(const PruneOptions& options);

}  // namespace diffprob::prune

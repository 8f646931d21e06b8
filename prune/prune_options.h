#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "prune/cleaning/rules.h"
#include "prune/select/balanced.h"
#include "prune/select/ccs.h"
#include "prune/select/diffprob.h"
#include "prune/select/random.h"
#include "prune/select/ranked.h"

namespace diffprob::prune {

/// How samples of an identity are selected. prune/methods/table.cpp has a row for each.
enum class Method {
  kDiffProb,
  kRandom,
  kDynUnc,
  kEl2n,
  kForgetting,
  kAum,
  kCcs,
  kBalanced,
  kBalancedEasy,
  kDeep,
  kDeepDiffProb,
  kNone
};

/// A method, after cleaning or without it: "diffprob", "clean+diffprob", ...
struct FullMethod {
  Method method = Method::kDiffProb;
  bool clean = false;
  friend bool operator==(const FullMethod&, const FullMethod&) = default;
};

/// Where DiffProb's score of a sample comes from.
enum class ScoreKind {
  kScores,      ///< the score file
  kLastEpoch,   ///< the last training epoch (dynamics file)
  kMean,        ///< mean probability over the training epochs (dynamics file)
  kScoresMean,  ///< mean probability over all score files of a folder
};

struct PruneOptions {
  Method method = Method::kDiffProb;
  bool clean = true;                 ///< drop mislabelled samples first
  std::optional<double> keep_ratio;  ///< of all N samples, above 0 to 1. diffprob: the threshold is
                                     ///< searched. ccs and the balanced ones need it
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
  BalancedOptions balanced;
};

/// Samples of a data set, for methods that read their labels alone.
struct LabelledSamples {
  std::int64_t num_samples = 0;
  std::int64_t num_classes = 0;
  std::string fingerprint;
  std::function<std::int64_t(std::int64_t)> label;  ///< of sample i
};

/// Files that a pruning reads. Either may be empty when the method does not need it.
struct PruneFiles {
  std::string scores;    ///< score file; with ScoreKind::kScoresMean a folder of them, *.h5
  std::string dynamics;  ///< dynamics file
  std::string dataset_fingerprint;  ///< when given: scores of another data set are refused
  /// In place of both files where the options read labels alone (reads_labels_alone).
  std::optional<LabelledSamples> labels{};
};

}  // namespace diffprob::prune

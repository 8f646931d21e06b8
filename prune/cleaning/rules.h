#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/select/selection.h"

namespace diffprob::prune {

enum class CleanRule {
  kMispredicted,  ///< the most probable class without margin is not the label
  kConfident,  ///< and its probability reaches the mean probability that samples of that class give
               ///< it (confident learning)
  // Rules of cleanlab (prune/README.md says where the score record decides them).
  kPredictedNeqGiven,
  kConfidentLearning,
  kLowSelfConfidence,
  kLowNormalizedMargin,
  kPruneByClass,
  kPruneByNoiseRateTop1,  ///< prune_by_noise_rate, where a sample counts for its top1 alone
  kBothTop1,              ///< what the last two find together
};
[[nodiscard]] std::vector<std::string> clean_rule_names();
[[nodiscard]] std::string clean_rule_name(CleanRule rule);
/// Throws PruneError, which lists the known names, on an unknown one.
[[nodiscard]] CleanRule clean_rule_of(std::string_view name);
/// Whether the rule is one of cleanlab's, which read second_log_prob too.
[[nodiscard]] bool is_of_cleanlab(CleanRule rule);

struct CleanOptions {
  CleanRule rule = CleanRule::kMispredicted;
  double margin = 0;  ///< natural log: above 0, the most probable class must exceed the own label
                      ///< by more than this
  /// Above 0, at most 1: the margin is chosen so that this share of the dropped samples is expected
  /// to have wrong labels (prune/cleaning/precision.h). Needs margin 0.
  double precision = 0;
  std::int64_t floor = 0;  ///< fewest samples that cleaning leaves to an identity that has them
};

/// What cleaning needs of some samples, all without margin. The last two may be empty when the rule
/// does not read them.
struct CleaningColumns {
  std::span<const std::int32_t> labels;
  std::span<const std::int32_t> top1;    ///< most probable class
  std::span<const float> top1_log_prob;  ///< of that class
  std::span<const float> own_log_prob;   ///< of the label
};
/// Throws PruneError on numbers outside their ranges, and on a margin with a precision.
void check(const CleanOptions& options);
/// Whether the rule reads top1_log_prob and own_log_prob.
[[nodiscard]] bool reads_log_probs(const CleanOptions& options);

/// Mean probability that the samples of a class give it: confident learning's threshold of that
/// class. A class without samples has none: nothing is confidently of it. Sums are whole multiples
/// of 2^-40, so they do not depend on the order or on the number of ranks.
class ClassThresholds {
 public:
  explicit ClassThresholds(std::int64_t num_classes)
      : sums_(static_cast<std::size_t>(num_classes), 0), counts_(sums_.size(), 0) {}
  void add(std::span<const std::int32_t> labels, std::span<const float> own_log_prob);
  /// Collective: after it, sums are those of all ranks.
  void finish(dist::HostCollectives& collectives);
  /// Infinity for a class without samples.
  [[nodiscard]] double of(std::int32_t label) const;
  [[nodiscard]] std::int64_t num_classes() const {
    return static_cast<std::int64_t>(counts_.size());
  }
  /// Samples of a class.
  [[nodiscard]] std::int64_t count(std::int64_t label) const {
    return counts_[static_cast<std::size_t>(label)];
  }

 private:
  std::vector<std::int64_t> sums_;    // [num_classes], in 2^-40
  std::vector<std::int64_t> counts_;  // [num_classes]
};

/// Marks what the rule says is mislabelled as kMislabelled; leaves samples that are not kept, and
/// all others, alone. `thresholds`: for CleanRule::kConfident, else unused. Of the rules, those of
/// cleanlab are not here: they need all samples (prune/clean_by_evidence.h). Pure.
void clean(const CleaningColumns& columns, const CleanOptions& options,
           const ClassThresholds& thresholds, std::span<Reason> reasons);

}  // namespace diffprob::prune

#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "prune/cleaning/rules.h"

namespace diffprob::prune {

/// What the score record says of a sample, all without margin.
struct Evidence {
  std::int32_t label = 0;
  std::int32_t top1 = 0;
  double top1_probability = 0;
  double second_probability = 0;
  double own_probability = 0;  ///< of the label
};
[[nodiscard]] Evidence evidence_of(std::int32_t label, std::int32_t top1, float top1_log_prob,
                                   float second_log_prob, float own_log_prob);

/// cleanlab compares probabilities with this slack.
inline constexpr double kSlack = 1e-6;

/// Whether the prediction is not the label, even when the label's probability gains the slack.
[[nodiscard]] bool contradicts(const Evidence& evidence);
/// cleanlab's normalised margin: half of 1 + p(label) - the largest p of another class.
[[nodiscard]] double normalized_margin(const Evidence& evidence);

/// The class that a sample is confidently of, as cleanlab's confident joint counts it. A class is
/// confident when its probability reaches its threshold; one confident class is the guess, of
/// several the most probable class is.
class ConfidentGuess {
 public:
  static constexpr std::int32_t kNone = -1;
  /// `thresholds`: finished; must outlive it.
  explicit ConfidentGuess(const ClassThresholds& thresholds);

  struct Guess {
    std::int32_t of = kNone;  ///< a class
    /// A class that is neither the label nor top1 may be confident, which only the whole row of
    /// probabilities tells. Then `of` supposes that none is.
    bool open = false;
  };
  [[nodiscard]] std::int64_t num_classes() const { return thresholds_.num_classes(); }
  [[nodiscard]] Guess operator()(const Evidence& evidence) const;
  [[nodiscard]] bool top1_is_confident(const Evidence& evidence) const;
  /// As LabelInspector has it: every prediction of a class without samples is confident.
  [[nodiscard]] bool counts_in_batched_form(const Evidence& evidence) const;

 private:
  /// Threshold less the slack.
  [[nodiscard]] double bar(std::int32_t c) const;
  struct Bar {
    double bar = std::numeric_limits<double>::infinity();
    std::int32_t of = kNone;
  };
  const ClassThresholds& thresholds_;
  std::array<Bar, 3> lowest_;  // of all classes: at least one is neither the label nor top1
};

}  // namespace diffprob::prune

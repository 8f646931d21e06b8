#pragma once

namespace diffprob::prune {

/// Number of each sample that a method works on.
enum class Key {
  kNone,
  kNll,              ///< score file: -log p of the label
  kProbability,      ///< score file: p of the label
  kEl2n,             ///< score file
  kScoresMean,       ///< score files of a folder: mean p of the label
  kLastProbability,  ///< dynamics file, as all that follow
  kMeanProbability,
  kAum,
  kForgetting,
  kUncertainty,
};

[[nodiscard]] constexpr bool is_in_scores(Key key) {
  return key == Key::kNll || key == Key::kProbability || key == Key::kEl2n ||
         key == Key::kScoresMean;
}
[[nodiscard]] constexpr bool is_in_dynamics(Key key) {
  return key != Key::kNone && !is_in_scores(key);
}

}  // namespace diffprob::prune

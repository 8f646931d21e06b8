#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "prune/cleaning/evidence.h"

namespace diffprob::prune {

/// Estimated share of wrong labels, with a 95 % interval.
struct NoiseRate {
  double rate = 0;
  double low = 0;
  double high = 0;
  std::int64_t confident = 0;  ///< samples whose most probable class is confident
  std::int64_t other = 0;      ///< of them, those of another class than their label
};

/// Counts of confident learning by the most probable class.
class NoiseCounts {
 public:
  explicit NoiseCounts(std::int64_t num_classes)
      : predicted_(static_cast<std::size_t>(num_classes), 0),
        confident_(predicted_.size(), 0),
        other_(predicted_.size(), 0) {}
  void add(const Evidence& evidence, const ConfidentGuess& guess);
  /// Collective.
  void finish(dist::HostCollectives& collectives);
  /// The share of another label among the samples that are confidently of a class, weighted by how
  /// many are predicted as that class. Right and wrong labels of one predicted class meet the same
  /// threshold, so a threshold that wrong labels have lowered does not bias it. The interval is
  /// Wilson's at the effective number of samples 1 / sum(weight^2 / confident): what a class knows
  /// little of widens it. Classes without a confident sample are left out of both; without any, the
  /// interval is 0 to 1.
  [[nodiscard]] NoiseRate rate() const;

 private:
  std::vector<std::int64_t> predicted_, confident_, other_;  // [num_classes]
};

/// Whether cleaning that drops `dropped` of `samples` is worth it, in one line.
[[nodiscard]] std::string verdict(const NoiseRate& noise, std::int64_t dropped,
                                  std::int64_t samples);

}  // namespace diffprob::prune

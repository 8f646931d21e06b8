#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "prune/select/selection.h"

namespace diffprob::prune {

/// A sample as a score file and an index set show it.
struct ScoredSample {
  std::int64_t index = 0;
  std::int32_t label = 0;
  std::int32_t top1 = -1;  ///< -1: the file does not say
  float nll = 0;           ///< infinity when unknown (kUnknownClass)
  float probability = 0;   ///< 0 when unknown
  Reason reason = Reason::kKept;
};

/// Score file and index set of one data set, read together in slices: about 20 MB, however many
/// samples. Throws PruneError on files that are malformed, do not belong together or hold no
/// reasons.
class ScoredSamples {
 public:
  ScoredSamples(std::string scores, std::string index_set);
  [[nodiscard]] std::int64_t size() const noexcept { return samples_; }
  [[nodiscard]] std::int64_t num_classes() const noexcept { return classes_; }
  /// Of the data set that was scored; may be "".
  [[nodiscard]] const std::string& dataset_fingerprint() const noexcept { return fingerprint_; }
  /// Every sample, in the order of the data set.
  void for_each(const std::function<void(const ScoredSample&)>& use) const;

 private:
  std::string scores_;
  std::string index_set_;
  std::int64_t samples_ = 0;
  std::int64_t classes_ = 0;
  bool has_top1_ = true;
  std::string fingerprint_;
};

}  // namespace diffprob::prune

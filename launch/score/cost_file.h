#pragma once

#include <cstdint>
#include <string>

namespace diffprob::launch {

/// What a scoring has cost, over all restarts.
struct ScoringCost {
  double seconds = 0;
  std::int64_t images = 0;  ///< forward passes of the network, each of one image
};

/// Keeps the cost of a scoring beside its parts, so that one that was killed and resumed counts
/// the time before as well. What is lost is the part at work when it was killed. One rank.
class ScoringCostFile {
 public:
  /// `parts`: folder of the parts; the file is parts/cost.json.
  explicit ScoringCostFile(const std::string& parts) : path_(parts + "/cost.json") {}

  /// Returns what an earlier run has written; nothing spent where there is no such file, or none
  /// that can be read: a cost is not worth an error.
  [[nodiscard]] ScoringCost read() const;
  void write(const ScoringCost& cost) const;
  /// Removes the file if there is one.
  void remove() const;

 private:
  std::string path_;
};

}  // namespace diffprob::launch

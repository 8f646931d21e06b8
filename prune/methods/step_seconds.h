#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace diffprob::prune {

/// Wall time of each step of a pruning, in the order in which they first ran.
class StepSeconds {
 public:
  template <class Work>
  void time(const char* step, const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    add(step, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  [[nodiscard]] const std::vector<std::pair<std::string, double>>& all() const { return seconds_; }

 private:
  void add(const char* step, double seconds) {
    for (auto& [name, sum] : seconds_) {
      if (name != step) continue;
      sum += seconds;
      return;
    }
    seconds_.emplace_back(step, seconds);
  }

  std::vector<std::pair<std::string, double>> seconds_;
};

}  // namespace diffprob::prune

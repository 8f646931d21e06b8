#pragma once

#include <cstdint>
#include <string>

#include "prune/error.h"

namespace diffprob::prune {

/// Collects bad rows of a table: names the first few, counts all.
class RowProblems {
 public:
  void add(std::int64_t row, const std::string& problem) {
    constexpr std::int64_t kNamed = 5;
    if (count_++ < kNamed)
      text_ += (text_.empty() ? "" : "; ") + ("row " + std::to_string(row) + ": " + problem);
  }
  void throw_if_any(const std::string& where) const {
    if (count_ > 0)
      throw PruneError(where + ": " + std::to_string(count_) + " bad values: " + text_);
  }

 private:
  std::int64_t count_ = 0;
  std::string text_;
};

}  // namespace diffprob::prune

#pragma once

#include <stdexcept>

namespace diffprob::prune {

/// Bad scores, options or files. The message names what was wrong, where, and what was expected.
class PruneError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace diffprob::prune

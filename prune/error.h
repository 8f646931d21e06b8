#pragma once

#include "data/error.h"

namespace diffprob::prune {

/// Bad scores, options or files. The message names what was wrong, where, and what was expected.
/// Readers and writers of this module throw it or, where a file as such is at fault, its base.
class PruneError : public data::DataError {
 public:
  using data::DataError::DataError;
};

}  // namespace diffprob::prune

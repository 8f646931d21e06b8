#pragma once

#include <cstdint>

#include "model/inference/options.h"

namespace diffprob::eval {

struct EmbedderOptions {
  /// Images decoded and embedded at a time, rounded up to whole blocks; results do not depend on
  /// it.
  std::int64_t batch_per_rank = 64;
  int folds = 10;                        ///< of the verification protocol
  model::FaceEmbedderOptions network{};  ///< how the backbone computes
};

}  // namespace diffprob::eval

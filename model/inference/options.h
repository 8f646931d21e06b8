#pragma once

#include <c10/core/ScalarType.h>

namespace diffprob::model {

/// How a network that does not train computes.
struct FaceEmbedderOptions {
  /// Rebuild the network with InferenceNetwork where it is known (equal within rounding).
  bool fold = true;
  /// Number format of its layers: float32, bfloat16 or float16; the last linear map stays float32
  /// when the network is rebuilt.
  at::ScalarType type = at::kFloat;
};

}  // namespace diffprob::model

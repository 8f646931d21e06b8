#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dist/reduce_op.h"

namespace diffprob::dist {

/// An element-wise reduction over one buffer a rank, in rank order: the same bits on every rank
/// that computes it. A NaN on any rank stays visible in the sum, the maximum and the minimum.
struct LocalReduce {
  std::int64_t element_bytes;
  /// out[i] = inputs[0][i] op inputs[1][i] op ...; `out` may be one of the inputs. All aligned to
  /// the element.
  void (*run)(std::byte* out, std::span<const std::byte* const> inputs, std::int64_t count);
};

/// T: float, double, std::int32_t, std::int64_t, std::uint64_t, std::uint8_t, and c10::BFloat16 and
/// c10::Half, which are accumulated in float and rounded once.
template <class T>
[[nodiscard]] LocalReduce local_reduce(ReduceOp op);

}  // namespace diffprob::dist

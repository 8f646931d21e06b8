#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dist/reduce_op.h"

namespace diffprob::dist {

/// An element-wise reduction over one buffer a rank, in rank order: the same bits on every rank that computes it.
struct LocalReduce {
  std::int64_t element_bytes;
  /// out[i] = inputs[0][i] op inputs[1][i] op ...; `out` may be one of the inputs. All aligned to the element.
  void (*run)(std::byte* out, std::span<const std::byte* const> inputs, std::int64_t count);
};

namespace local_reduce_detail {

// A NaN on any rank stays visible in the maximum and the minimum.
struct Sum {
  template <class A>
  A operator()(A a, A b) const {
    return static_cast<A>(a + b);
  }
};
struct Max {
  template <class A>
  A operator()(A a, A b) const {
    return (b > a || b != b) ? b : a;
  }
};
struct Min {
  template <class A>
  A operator()(A a, A b) const {
    return (b < a || b != b) ? b : a;
  }
};

template <class T, class Accumulator, class Combine>
void run(std::byte* out, std::span<const std::byte* const> inputs, std::int64_t count) {
  constexpr std::int64_t kBlock = 512;
  Accumulator sums[kBlock];
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t n = std::min(kBlock, count - begin);
    const T* first = reinterpret_cast<const T*>(inputs[0]) + begin;
    for (std::int64_t i = 0; i < n; ++i) sums[i] = static_cast<Accumulator>(first[i]);
    for (const std::byte* input : inputs.subspan(1)) {
      const T* next = reinterpret_cast<const T*>(input) + begin;
      for (std::int64_t i = 0; i < n; ++i) sums[i] = Combine()(sums[i], static_cast<Accumulator>(next[i]));
    }
    T* result = reinterpret_cast<T*>(out) + begin;
    for (std::int64_t i = 0; i < n; ++i) result[i] = static_cast<T>(sums[i]);
  }
}

}  // namespace local_reduce_detail

/// Accumulator: what sums are kept in before they are rounded to T once (float for the 16-bit types).
template <class T, class Accumulator = T>
[[nodiscard]] LocalReduce local_reduce(ReduceOp op) {
  namespace detail = local_reduce_detail;
  switch (op) {
    case ReduceOp::kMax:
      return {sizeof(T), &detail::run<T, Accumulator, detail::Max>};
    case ReduceOp::kMin:
      return {sizeof(T), &detail::run<T, Accumulator, detail::Min>};
    case ReduceOp::kSum:
      break;
  }
  return {sizeof(T), &detail::run<T, Accumulator, detail::Sum>};
}

}  // namespace diffprob::dist

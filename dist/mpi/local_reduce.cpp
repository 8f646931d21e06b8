// Compiled with -O3: these loops are the arithmetic of every collective on host tensors, and must
// become vector code.
#include "dist/mpi/local_reduce.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <bit>

namespace diffprob::dist {
namespace {

// The integer form of the conversions has no branches, unlike c10's.
struct BFloat16Bits {
  std::uint16_t bits;
  explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
  explicit BFloat16Bits(float value) {
    const auto whole = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded =
        (whole + 0x7fffU + ((whole >> 16) & 1U)) >> 16;  // to nearest, ties to even
    bits = static_cast<std::uint16_t>((whole & 0x7fffffffU) > 0x7f800000U ? 0x7fc0U : rounded);
  }
};

template <class T>
struct Element {
  using Stored = T;
  using Accumulator = T;
};
template <>
struct Element<c10::BFloat16> {
  using Stored = BFloat16Bits;
  using Accumulator = float;
};
template <>
struct Element<c10::Half> {
  using Stored = c10::Half;
  using Accumulator = float;
};

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

constexpr std::int64_t kBlock = 1024;  // the accumulators stay in the first-level cache

template <class Stored, class Accumulator, class Combine>
void run_two(std::byte* out, const std::byte* a, const std::byte* b, std::int64_t count) {
  const auto* first = reinterpret_cast<const Stored*>(a);
  const auto* second = reinterpret_cast<const Stored*>(b);
  auto* result = reinterpret_cast<Stored*>(out);
  for (std::int64_t i = 0; i < count; ++i) {
    result[i] = static_cast<Stored>(
        Combine()(static_cast<Accumulator>(first[i]), static_cast<Accumulator>(second[i])));
  }
}

template <class Stored, class Accumulator, class Combine>
void run(std::byte* out, std::span<const std::byte* const> inputs, std::int64_t count) {
  if (inputs.size() == 2)
    return run_two<Stored, Accumulator, Combine>(out, inputs[0], inputs[1], count);
  Accumulator sums[kBlock];
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t n = std::min(kBlock, count - begin);
    const auto* first = reinterpret_cast<const Stored*>(inputs[0]) + begin;
    for (std::int64_t i = 0; i < n; ++i) sums[i] = static_cast<Accumulator>(first[i]);
    for (const std::byte* input : inputs.subspan(1)) {
      const auto* next = reinterpret_cast<const Stored*>(input) + begin;
      for (std::int64_t i = 0; i < n; ++i)
        sums[i] = Combine()(sums[i], static_cast<Accumulator>(next[i]));
    }
    auto* result = reinterpret_cast<Stored*>(out) + begin;
    for (std::int64_t i = 0; i < n; ++i) result[i] = static_cast<Stored>(sums[i]);
  }
}

}  // namespace

template <class T>
LocalReduce local_reduce(ReduceOp op) {
  using Stored = typename Element<T>::Stored;
  using Accumulator = typename Element<T>::Accumulator;
  static_assert(sizeof(Stored) == sizeof(T));
  switch (op) {
    case ReduceOp::kMax:
      return {sizeof(T), &run<Stored, Accumulator, Max>};
    case ReduceOp::kMin:
      return {sizeof(T), &run<Stored, Accumulator, Min>};
    case ReduceOp::kSum:
      break;
  }
  return {sizeof(T), &run<Stored, Accumulator, Sum>};
}

template LocalReduce local_reduce<float>(ReduceOp);
template LocalReduce local_reduce<double>(ReduceOp);
template LocalReduce local_reduce<std::int32_t>(ReduceOp);
template LocalReduce local_reduce<std::int64_t>(ReduceOp);
template LocalReduce local_reduce<std::uint64_t>(ReduceOp);
template LocalReduce local_reduce<std::uint8_t>(ReduceOp);
template LocalReduce local_reduce<c10::BFloat16>(ReduceOp);
template LocalReduce local_reduce<c10::Half>(ReduceOp);

}  // namespace diffprob::dist

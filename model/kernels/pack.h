#pragma once

#include "model/kernels/host_device.h"

namespace diffprob::model::gpu::thread {

/// kWidth numbers that a thread reads or writes with one instruction of the GPU.
template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Pack {
  T value[kWidth];
};

/// Reads kWidth numbers from an address that is aligned to the whole pack.
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE Pack<T, kWidth> load(const T* from) {
  return *reinterpret_cast<const Pack<T, kWidth>*>(from);
}

/// Writes kWidth numbers to an address that is aligned to the whole pack.
template <class T, int kWidth>
DIFFPROB_HOST_DEVICE void store(T* to, const Pack<T, kWidth>& pack) {
  *reinterpret_cast<Pack<T, kWidth>*>(to) = pack;
}

}  // namespace diffprob::model::gpu::thread

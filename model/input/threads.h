#pragma once

#include <cstdint>

#include "model/kernels/host_device.h"
#include "model/kernels/pack.h"

namespace diffprob::model::gpu {

/// Images to make faces of: uint8 [N, side, side, 3].
struct FaceImages {
  const std::uint8_t* images;
  const std::int64_t* rows;   ///< [b], image of each face; null: face i is image i
  const std::uint8_t* flips;  ///< [b], not 0: mirrored; null: none
  int side;
};

}  // namespace diffprob::model::gpu

/// What one thread of the GPU's faces kernel does (gpu.cu), as plain functions: the host can
/// run them for every thread in turn.
namespace diffprob::model::gpu::thread {

/// Rounded as model/input/normalize.h rounds it on the CPU.
DIFFPROB_HOST_DEVICE float face_value(std::uint8_t byte) {
  return (static_cast<float>(byte) / 255.0f - 0.5f) / 0.5f;
}

/// Where pixel `pixel` (y * side + x) of face `face` comes from: 3 bytes.
DIFFPROB_HOST_DEVICE const std::uint8_t* face_source(const FaceImages& from, std::int64_t face,
                                                     int pixel) {
  const std::int64_t image = from.rows != nullptr ? from.rows[face] : face;
  if (from.flips != nullptr && from.flips[face] != 0) {
    const int y = pixel / from.side;
    const int x = pixel - y * from.side;
    pixel = y * from.side + from.side - 1 - x;
  }
  return from.images + (image * from.side * from.side + pixel) * 3;
}

/// Writes one pixel of a face, kChannels numbers at `to`: three colours, then zeros. `to` is
/// aligned to the size of a pixel when kChannels is a power of two.
template <class T, int kChannels>
DIFFPROB_HOST_DEVICE void write_face_pixel(const std::uint8_t* from, T* to) {
  T values[kChannels];
  DIFFPROB_UNROLL(kChannels)
  for (int c = 0; c < kChannels; ++c)
    values[c] = static_cast<T>(c < 3 ? face_value(from[c < 3 ? c : 0]) : 0.0f);
  if constexpr ((kChannels & (kChannels - 1)) == 0) {
    Pack<T, kChannels> pack;
    DIFFPROB_UNROLL(kChannels)
    for (int c = 0; c < kChannels; ++c) pack.value[c] = values[c];
    store<T, kChannels>(to, pack);
  } else {
    DIFFPROB_UNROLL(kChannels)
    for (int c = 0; c < kChannels; ++c) to[c] = values[c];
  }
}

}  // namespace diffprob::model::gpu::thread

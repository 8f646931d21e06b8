#pragma once

#include <cstdint>

#include "model/input/threads.h"
#include "model/kernels/gpu_rows.h"

namespace diffprob::model::gpu {

/// faces [count, side, side, channels] of `type` <- normalised images, channels 3, 4 or 8 (zeros
/// beyond the three colours). Pointers are to device memory; faces is aligned to 32 bytes. Work is
/// put on the stream, nothing waits.
void make_faces(const FaceImages& from, std::int64_t count, Number type, int channels, void* faces,
                CUstream_st* stream);

}  // namespace diffprob::model::gpu

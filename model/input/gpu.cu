#include "model/input/gpu.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace diffprob::model::gpu {
namespace {

constexpr int kThreads = 256;

/// A pixel a thread; a block works on one face.
template <class T, int kChannels>
__global__ void __launch_bounds__(kThreads)
    diffprob_faces(FaceImages from, int blocks_a_face, T* faces) {
  const std::int64_t face = blockIdx.x / blocks_a_face;
  const int pixels = from.side * from.side;
  const int pixel =
      static_cast<int>(blockIdx.x % blocks_a_face) * kThreads + static_cast<int>(threadIdx.x);
  if (pixel >= pixels) return;
  thread::write_face_pixel<T, kChannels>(thread::face_source(from, face, pixel),
                                         faces + (face * pixels + pixel) * kChannels);
}

template <class T, int kChannels>
void launch(const FaceImages& from, std::int64_t count, void* faces, CUstream_st* stream) {
  const int blocks_a_face = (from.side * from.side + kThreads - 1) / kThreads;
  const auto blocks = static_cast<unsigned>(count * blocks_a_face);
  diffprob_faces<T, kChannels>
      <<<blocks, kThreads, 0, stream>>>(from, blocks_a_face, static_cast<T*>(faces));
}

template <class T>
void launch_type(const FaceImages& from, std::int64_t count, int channels, void* faces,
                 CUstream_st* stream) {
  if (channels == 8) return launch<T, 8>(from, count, faces, stream);
  if (channels == 4) return launch<T, 4>(from, count, faces, stream);
  launch<T, 3>(from, count, faces, stream);
}

}  // namespace

void make_faces(const FaceImages& from, std::int64_t count, Number type, int channels, void* faces,
                CUstream_st* stream) {
  if (type == Number::kFloat) {
    launch_type<float>(from, count, channels, faces, stream);
  } else if (type == Number::kHalf) {
    launch_type<c10::Half>(from, count, channels, faces, stream);
  } else {
    launch_type<c10::BFloat16>(from, count, channels, faces, stream);
  }
  if (const cudaError_t state = cudaGetLastError(); state != cudaSuccess) {
    throw std::runtime_error(std::string("faces on the GPU: ") + cudaGetErrorString(state));
  }
}

}  // namespace diffprob::model::gpu

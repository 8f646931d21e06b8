#include "model/input/gpu_ops.h"

namespace diffprob::model::gpu {

bool has_faces(const at::Tensor& /*images*/) {
  return false;
}

at::Tensor make_faces(const at::Tensor& /*images*/, const FaceOptions& /*options*/) {
  TORCH_CHECK(false, "faces: this build has no CUDA kernels");
}

}  // namespace diffprob::model::gpu

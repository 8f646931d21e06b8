#include "model/networks/dropout_gpu_ops.h"

namespace diffprob::model::gpu {

bool has_dropout(const at::Tensor& /*features*/) {
  return false;
}

at::Tensor keyed_dropout(const at::Tensor& /*features*/, double /*p*/,
                         const StepContext& /*context*/) {
  TORCH_CHECK(false, "dropout: this build has no CUDA kernels");
}

}  // namespace diffprob::model::gpu

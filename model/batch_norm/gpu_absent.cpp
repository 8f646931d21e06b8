#include "model/batch_norm/gpu_ops.h"

namespace diffprob::model::gpu {
namespace {

[[noreturn]] void absent() {
  TORCH_CHECK(false, "batch norm: this build has no CUDA kernels");
}

}  // namespace

bool has_batch_kernels(const at::Tensor& /*x*/) {
  return false;
}

at::Tensor batch_moments(const at::Tensor& /*x*/, const at::Tensor& /*sums*/) {
  absent();
}

BatchStatistics batch_statistics(const at::Tensor& /*x*/, double /*eps*/,
                                 const RunningStatistics& /*running*/, const at::Tensor& /*sums*/) {
  absent();
}

at::Tensor batch_normalize(const at::Tensor& /*x*/, const BatchAffine& /*affine*/,
                           const BatchStatistics& /*statistics*/, const at::Tensor& /*residual*/,
                           at::Tensor* /*sums_of_output*/) {
  absent();
}

BatchGradientSums batch_gradient_sums(const at::Tensor& /*grad*/, const at::Tensor& /*x*/,
                                      const BatchAffine& /*affine*/,
                                      const BatchStatistics& /*statistics*/,
                                      const BatchAffine& /*places*/, const at::Tensor& /*known*/) {
  absent();
}

BatchGradientSums finished_gradient_sums(const at::Tensor& /*partials*/,
                                         const BatchAffine& /*affine*/,
                                         const BatchStatistics& /*statistics*/,
                                         const BatchAffine& /*places*/) {
  absent();
}

at::Tensor batch_input_gradient(const GivenGradients& /*given*/, const at::Tensor& /*x*/,
                                const BatchAffine& /*affine*/,
                                const BatchStatistics& /*statistics*/, const at::Tensor& /*sums*/,
                                LayerBefore* /*before*/) {
  absent();
}

}  // namespace diffprob::model::gpu

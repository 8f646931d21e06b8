#include "model/softmax/gpu_ops.h"

#include <c10/util/Exception.h>

namespace diffprob::model::gpu {
namespace {

[[noreturn]] void absent() {
  TORCH_CHECK(false, "head: this build has no CUDA kernels");
}

}  // namespace

bool has_product_kernels(const at::Tensor& /*values*/) {
  return false;
}

void maxima_of_products(const Chunk& /*chunk*/, const TargetPositions& /*targets*/,
                        NonTargetMaxima& /*maxima*/) {
  absent();
}

void exponentials_of_products(const Chunk& /*chunk*/, const TargetPositions& /*targets*/,
                              double /*scale*/, const at::Tensor& /*reference*/,
                              const at::Tensor& /*sums*/) {
  absent();
}

bool has_target_classes(const at::Tensor& /*x*/) {
  return false;
}

void target_cosines(const StepClasses& /*classes*/, const at::Tensor& /*x*/,
                    const at::Tensor& /*cosine*/, const at::Tensor& /*inverse_norms*/) {
  absent();
}

void add_target_gradients(const StepClasses& /*classes*/, const at::Tensor& /*inverse_norms*/,
                          const at::Tensor& /*slope*/, const at::Tensor& /*gradients*/) {
  absent();
}

bool has_head_sgd(const at::Tensor& /*weight*/) {
  return false;
}

void head_sgd(const HeadState& /*state*/, const RowGradients& /*rows*/, const HeadSgdStep& /*step*/,
              const StepControl& /*control*/) {
  absent();
}

}  // namespace diffprob::model::gpu

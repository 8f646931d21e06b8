#include "launch/job/gpu_arithmetic.h"

#include <ATen/Context.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

#include "launch/config/precision.h"

namespace diffprob::launch {
namespace {

/// What the user has set stays.
void set_default(const char* variable, const char* value) {
  ::setenv(variable, value, /*overwrite=*/0);
}

}  // namespace

void set_gpu_arithmetic(const Config& config, c10::Device device) {
  if (!device.is_cuda()) {
    if (config.train.deterministic)
      spdlog::info(
          "train.deterministic: has no effect on a CPU, where identical runs always give bitwise "
          "equal results");
    return;
  }
  at::Context& context = at::globalContext();
  const bool tf32 = precision_on(device, config.train.precision) != Precision::kFp32;
  context.setAllowTF32CuDNN(tf32);
  context.setAllowTF32CuBLAS(tf32);
  if (config.train.deterministic) {
    context.setDeterministicCuDNN(true);
    context.setDeterministicAlgorithms(true, /*warn_only=*/true);
    context.setDeterministicFillUninitializedMemory(
        false);  // costs a pass over each new tensor, for the sake of unread bytes
    set_default("CUBLAS_WORKSPACE_CONFIG", ":4096:8");
    set_default("NCCL_ALGO", "Ring");
    set_default("NCCL_PROTO", "Simple");
  }
  context.setBenchmarkCuDNN(!context.deterministicCuDNN());
}

}  // namespace diffprob::launch

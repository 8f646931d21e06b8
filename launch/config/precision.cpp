#include "launch/config/precision.h"

#include <c10/util/Exception.h>

namespace diffprob::launch {

at::ScalarType scalar_type(const std::string& name) {
  if (name == "fp32" || name == "tf32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  if (name == "fp16") return at::kHalf;
  TORCH_CHECK(false, "unknown number format '", name, "', expected fp32, tf32, bf16 or fp16");
}

std::string precision_on(at::Device device, const std::string& precision) {
  if (precision != "auto") return precision;
  return device.is_cuda() ? "fp16" : "fp32";
}

}  // namespace diffprob::launch

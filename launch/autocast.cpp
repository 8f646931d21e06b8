#include "launch/autocast.h"

#include <ATen/autocast_mode.h>
#include <c10/util/Exception.h>

namespace diffprob::launch {

at::ScalarType scalar_type(const std::string& name) {
  if (name == "fp32" || name == "tf32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  if (name == "fp16") return at::kHalf;
  TORCH_CHECK(false, "unknown number format '", name, "', there are fp32, tf32, bf16, fp16");
}

std::string precision_on(at::Device device, const std::string& precision) {
  if (precision != "auto") return precision;
  return device.is_cuda() ? "fp16" : "fp32";
}

Autocast::Autocast(at::Device device, at::ScalarType type) : device_(device.type()), active_(type != at::kFloat) {
  if (!active_) return;
  at::autocast::set_autocast_dtype(device_, type);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::set_autocast_cache_enabled(true);
  at::autocast::increment_nesting();
}

Autocast::~Autocast() {
  if (!active_) return;
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, false);
}

}  // namespace diffprob::launch

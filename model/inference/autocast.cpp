#include "model/inference/autocast.h"

#include <ATen/autocast_mode.h>

namespace diffprob::model {

Autocast::Autocast(at::Device device, at::ScalarType type)
    : device_(device.type()), active_(type != at::kFloat) {
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

}  // namespace diffprob::model

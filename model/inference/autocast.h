#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

namespace diffprob::model {

/// While one lives, matrix products and convolutions of this thread run in `type` on devices of
/// that kind, as torch.autocast does it: weights stay float32 and are cast once a step. float32:
/// does nothing.
class Autocast {
 public:
  Autocast(at::Device device, at::ScalarType type);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  at::DeviceType device_;
  bool active_;
};

}  // namespace diffprob::model

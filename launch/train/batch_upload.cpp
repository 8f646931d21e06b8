#include "launch/train/batch_upload.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace diffprob::launch {
namespace {

/// Puts `from` into `to`, which is made when it does not fit; undefined where `from` is.
void copy_into(at::Tensor& to, const at::Tensor& from, c10::Device device) {
  if (!from.defined()) {
    to = from;
    return;
  }
  if (!to.defined() || to.sizes() != from.sizes())
    to = at::empty(from.sizes(), from.options().device(device));
  to.copy_(from, /*non_blocking=*/from.is_pinned());
}

}  // namespace

BatchUpload::BatchUpload(c10::Device device) : device_(device) {
  if (device.is_cpu()) return;
  stream_ = c10::impl::VirtualGuardImpl(device.type()).getNewStream(device);
  for (auto& slot : slots_) {
    slot.copied.emplace(device.type());
    slot.used.emplace(device.type());
  }
}

BatchUpload::Batch BatchUpload::upload(const data::Batch& batch) {
  if (!stream_ || batch.images.device() == device_)
    return {batch.images, batch.labels.to(device_),
            batch.weights.defined() ? batch.weights.to(device_, at::kFloat, true) : at::Tensor()};
  current_ = 1 - current_;
  Slot& slot = slots_[current_];
  const c10::Stream compute = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
  if (slot.in_use) slot.used->block(*stream_);
  {
    const c10::StreamGuard guard(*stream_);
    copy_into(slot.batch.images, batch.images, device_);
    copy_into(slot.batch.labels, batch.labels, device_);
    copy_into(slot.batch.weights, batch.weights, device_);
    slot.copied->record(*stream_);
  }
  slot.copied->block(compute);
  return slot.batch;
}

void BatchUpload::used() {
  if (!stream_ || !slots_[current_].batch.images.defined()) return;
  slots_[current_].used->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  slots_[current_].in_use = true;
}

}  // namespace diffprob::launch

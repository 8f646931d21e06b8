#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include "data/loading/loader.h"

namespace diffprob::launch {

/// Takes batches to a GPU on a stream of its own, so that the copy of one batch runs while the step
/// before it computes. On a CPU, and for batches that are on the device already, it hands them on.
class BatchUpload {
 public:
  explicit BatchUpload(c10::Device device);

  struct Batch {
    at::Tensor images;     ///< uint8 [b, 112, 112, 3] on the device
    at::Tensor labels;     ///< int64 [b] on the device
    at::Tensor weights{};  ///< float32 [b] on the device, or undefined
  };
  /// Work put on the current stream from now on finds the batch in place; the host does not wait
  /// when `batch` is in pinned memory. The tensors are good until the second next call.
  [[nodiscard]] Batch upload(const data::Batch& batch);
  /// The work that reads the last batch has been put on the current stream.
  void used();

 private:
  struct Slot {
    Batch batch;
    std::optional<c10::Event> copied;
    std::optional<c10::Event> used;
    bool in_use = false;
  };

  c10::Device device_;
  std::optional<c10::Stream> stream_;
  std::array<Slot, 2> slots_;
  std::size_t current_ = 0;
};

}  // namespace diffprob::launch

#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace diffprob::data {

/// Rows of one rank. Images and labels may be on a device already (all work that makes them is on
/// its current stream); indices are on the host.
struct Batch {
  at::Tensor images;     ///< uint8 [b, image_size, image_size, 3], RGB
  at::Tensor labels;     ///< int64 [b]
  at::Tensor indices;    ///< int64 [b], indices into the dataset
  at::Tensor weights{};  ///< float32 [b], of the losses; undefined, as streams give it: 1
};

/// Batches in the order of a plan. One consumer thread.
class BatchStream {
 public:
  BatchStream() = default;
  BatchStream(const BatchStream&) = delete;
  BatchStream& operator=(const BatchStream&) = delete;
  virtual ~BatchStream() = default;

  /// false after the last batch. Throws what went wrong with the batch, again whenever it is asked
  /// for.
  bool next(Batch& batch);
  /// Seconds spent in next() since the start.
  [[nodiscard]] double wait_seconds() const noexcept { return waited_; }
  /// Descriptions of images that this stream replaced so far (OnCorrupt::kReplace).
  [[nodiscard]] virtual std::vector<std::string> replaced() const = 0;

 private:
  virtual bool do_next(Batch& batch) = 0;

  double waited_ = 0;
};

}  // namespace diffprob::data

#pragma once

namespace diffprob::dist {

/// One enqueued collective; keeps its tensors alive until it is done. Dropping it without waiting
/// waits first (and logs instead of throwing).
class Work {
 public:
  Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  virtual ~Work() = default;
  /// CUDA: orders the current stream after the collective, the host runs on. Host tensors: same as
  /// wait_host().
  virtual void wait_stream() = 0;
  /// Blocks the host until the result is there. Throws CommError on failure or when the deadline
  /// has passed.
  virtual void wait_host() = 0;
};

}  // namespace diffprob::dist

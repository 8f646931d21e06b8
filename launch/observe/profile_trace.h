#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <c10/core/Device.h>

namespace diffprob::launch {

struct ProfileOptions {
  std::string path;             ///< .json; its folder must exist. One file a rank.
  std::int64_t first_step = 0;  ///< the first step to be traced: leave a few out to warm up
  std::int64_t steps = 0;       ///< how many; 0: none
};

/// Traces some steps with LibTorch's profiler: operators with their input shapes and memory,
/// kernels on CUDA, a span for each step. chrome://tracing and ui.perfetto.dev open the file. One
/// at a time in a process; call from the thread that trains.
class ProfileTrace {
 public:
  ProfileTrace(ProfileOptions options, c10::Device device);
  /// Stops without a file when the steps were not reached or an exception is on its way.
  ~ProfileTrace();
  ProfileTrace(const ProfileTrace&) = delete;
  ProfileTrace& operator=(const ProfileTrace&) = delete;

  /// Before every step. Starts at first_step (or at the first one after it), and writes the file
  /// after the last.
  void before_step(std::int64_t step);
  /// At the end of training, or earlier: writes what there is. Returns whether a file was written,
  /// by this call or before. Throws data::DataError that names the file.
  bool finish();

 private:
  struct Running;
  ProfileOptions options_;
  c10::Device device_;
  std::unique_ptr<Running> running_;
  bool written_ = false;
};

}  // namespace diffprob::launch

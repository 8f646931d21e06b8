#pragma once

#include <functional>
#include <memory>

#include <c10/core/Device.h>

namespace diffprob::launch {

/// The work of one training step as a CUDA graph: captured once, then replayed by a single call.
/// One of two sibling files implements it: step_graph_cuda.cpp, or, in a build without CUDA,
/// step_graph_absent.cpp. Addresses and host values are frozen at capture: what changes from step
/// to step must lie in device memory.
class StepGraph {
 public:
  /// A graph for steps on this device. Nothing is captured on a CPU.
  explicit StepGraph(c10::Device device);
  ~StepGraph();
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  [[nodiscard]] bool is_captured() const noexcept;
  /// Captures what `work` puts on the current stream (not the default one) and on streams that it
  /// forks from it; runs nothing. Memory that earlier steps left in the allocator is released
  /// first, because the graph has its own. Throws c10::Error when `work` waits for the device.
  void capture(const std::function<void()>& work);
  /// Runs the captured work on the current stream.
  void replay();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffprob::launch

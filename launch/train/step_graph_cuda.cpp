#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <optional>

#include "launch/train/step_graph.h"

namespace diffprob::launch {

struct StepGraph::Impl {
  explicit Impl(c10::Device of_step) : device(of_step) {}
  c10::Device device;
  std::optional<at::cuda::CUDAGraph>
      graph;  // made late: its constructor wants a driver, and the job may run on CPUs
  bool captured = false;
};

StepGraph::StepGraph(c10::Device device) : impl_(std::make_unique<Impl>(device)) {}
StepGraph::~StepGraph() = default;

bool StepGraph::is_captured() const noexcept {
  return impl_->captured;
}

void StepGraph::capture(const std::function<void()>& work) {
  const c10::cuda::CUDAGuard guard(impl_->device);  // all of the below is about the current device
  c10::cuda::device_synchronize();
  c10::cuda::CUDACachingAllocator::emptyCache();
  // Thread-local: threads that watch collectives or read images go on using CUDA meanwhile.
  impl_->graph.emplace();
  impl_->graph->capture_begin(/*pool=*/{0, 0}, cudaStreamCaptureModeThreadLocal);
  work();
  impl_->graph->capture_end();
  impl_->captured = true;
}

void StepGraph::replay() {
  const c10::cuda::CUDAGuard guard(impl_->device);
  impl_->graph->replay();
}

}  // namespace diffprob::launch

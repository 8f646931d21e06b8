#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <optional>

#include "launch/step_graph.h"

namespace diffprob::launch {

struct StepGraph::Impl {
  std::optional<at::cuda::CUDAGraph> graph;  // made late: its constructor wants a driver, and the job may run on CPUs
  bool recorded = false;
};

StepGraph::StepGraph() : impl_(std::make_unique<Impl>()) {}
StepGraph::~StepGraph() = default;

bool StepGraph::is_recorded() const noexcept {
  return impl_->recorded;
}

void StepGraph::record(const std::function<void()>& work) {
  c10::cuda::device_synchronize();
  c10::cuda::CUDACachingAllocator::emptyCache();
  // Thread-local: threads that watch collectives or read images go on using CUDA meanwhile.
  impl_->graph.emplace();
  impl_->graph->capture_begin(/*pool=*/{0, 0}, cudaStreamCaptureModeThreadLocal);
  work();
  impl_->graph->capture_end();
  impl_->recorded = true;
}

void StepGraph::replay() {
  impl_->graph->replay();
}

void leave_default_stream(c10::Device device) {
  if (device.is_cuda()) c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index()));
}

}  // namespace diffprob::launch

#include <c10/util/Exception.h>

#include "launch/train/step_graph.h"

namespace diffprob::launch {

struct StepGraph::Impl {};

StepGraph::StepGraph(c10::Device /*device*/) {}
StepGraph::~StepGraph() = default;

bool StepGraph::is_captured() const noexcept {
  return false;
}

void StepGraph::capture(const std::function<void()>& /*work*/) {
  TORCH_CHECK(false, "captured steps: this build has no CUDA");
}

void StepGraph::replay() {
  TORCH_CHECK(false, "captured steps: this build has no CUDA");
}

}  // namespace diffprob::launch

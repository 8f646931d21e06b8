#include "eval/face_network.h"

#include <torch/types.h>

#include "model/normalize.h"

namespace diffprob::eval {

FaceNetwork::FaceNetwork(model::Backbone& backbone, at::Device device, Fold fold, at::ScalarType type)
    : backbone_(backbone), device_(device), root_training_(backbone.is_training()) {
  for (auto& module : backbone.modules(/*include_self=*/false)) training_.emplace_back(module, module->is_training());
  backbone.eval();
  if (fold == Fold::kWhereKnown && model::InferenceNetwork::can_rebuild(backbone)) folded_.emplace(backbone, type);
}

FaceNetwork::~FaceNetwork() {
  backbone_.train(root_training_);
  // Parents come before their children here, and train() goes down the tree: the last word on a module is its own.
  for (auto& [module, training] : training_) module->train(training);
}

std::pair<at::Tensor, at::Tensor> FaceNetwork::embed(const at::Tensor& images) const {
  const at::NoGradGuard no_grad;
  if (folded_) {
    const auto bytes = images.to(device_, /*non_blocking=*/images.is_pinned());
    auto straight = (*folded_)(bytes);
    return {std::move(straight), (*folded_)(bytes.flip(2))};
  }
  const auto faces = model::normalize_faces(images, device_);  // [b, 3, h, w]
  auto straight = backbone_.forward(faces).to(at::kFloat);
  return {std::move(straight), backbone_.forward(faces.flip(3)).to(at::kFloat)};
}

}  // namespace diffprob::eval

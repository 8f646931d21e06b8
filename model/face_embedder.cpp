#include "model/face_embedder.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "model/autocast.h"
#include "model/normalize.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kHostBlock = 8;
constexpr std::int64_t kDeviceBlock = 256;

}  // namespace

std::int64_t embedding_block(at::Device device) {
  return device.is_cpu() ? kHostBlock : kDeviceBlock;
}

std::int64_t whole_blocks(std::int64_t images, at::Device device) {
  const std::int64_t block = embedding_block(device);
  return (images + block - 1) / block * block;
}

FaceEmbedder::FaceEmbedder(Backbone& backbone, at::Device device, FaceEmbedderOptions options)
    : backbone_(backbone), device_(device), options_(options), root_training_(backbone.is_training()) {
  for (auto& module : backbone.modules(/*include_self=*/false)) training_.emplace_back(module, module->is_training());
  backbone.eval();
  const bool fold = options.fold && InferenceNetwork::can_rebuild(backbone);
  if (!device.is_cpu()) {
    if (fold) folded_.emplace(backbone, options.type);
    return;
  }
  workers_ = std::make_unique<BlockWorkers>();
  // On a worker: oneDNN orders weights for the number of threads that are going to use them.
  if (fold) workers_->run(1, [&](std::int64_t) { folded_.emplace(backbone, options_.type); });
}

FaceEmbedder::~FaceEmbedder() {
  backbone_.train(root_training_);
  // Parents come before their children here, and train() goes down the tree: the last word on a module is its own.
  for (auto& [module, training] : training_) module->train(training);
}

at::Tensor FaceEmbedder::forward(const at::Tensor& images) const {
  if (folded_) return (*folded_)(images);
  const Autocast autocast(device_, options_.type);
  return backbone_.forward(normalize_faces(images, device_)).to(at::kFloat);
}

void FaceEmbedder::embed_block(const at::Tensor& images, std::int64_t index, bool mirrored, at::Tensor out) const {
  const std::int64_t rows = block();
  const std::int64_t first = index * rows;
  const std::int64_t count = std::min(rows, images.size(0) - first);
  at::Tensor faces = images.narrow(0, first, count);
  if (count < rows) {
    const at::Tensor filled = at::zeros({rows, images.size(1), images.size(2), images.size(3)}, images.options());
    filled.narrow(0, 0, count).copy_(faces);
    faces = filled;
  }
  const at::Tensor embeddings = forward(mirrored ? faces.flip(2) : faces);
  TORCH_CHECK(embeddings.dim() == 2 && embeddings.size(0) == rows && embeddings.size(1) == dim(), "backbone: want embeddings [", rows,
              ", ", dim(), "], got ", embeddings.sizes());
  out.narrow(0, first, count).copy_(embeddings.narrow(0, 0, count));
}

void FaceEmbedder::for_each(std::int64_t blocks, const std::function<void(std::int64_t)>& work) const {
  if (workers_) return workers_->run(blocks, work);
  for (std::int64_t i = 0; i < blocks; ++i) work(i);
}

std::int64_t FaceEmbedder::batch_of(std::int64_t images) const {
  return whole_blocks(std::max(images, workers_ ? workers_->threads() * block() : 1), device_);
}

at::Tensor FaceEmbedder::embed(const at::Tensor& images) const {
  const at::NoGradGuard no_grad;
  const at::Tensor faces = images.to(device_, /*non_blocking=*/images.is_pinned());
  const at::Tensor out = at::empty({images.size(0), dim()}, at::TensorOptions(at::kFloat).device(device_));
  for_each(whole_blocks(images.size(0), device_) / block(), [&](std::int64_t i) { embed_block(faces, i, false, out); });
  return out;
}

std::pair<at::Tensor, at::Tensor> FaceEmbedder::embed_with_mirror(const at::Tensor& images) const {
  const at::NoGradGuard no_grad;
  const at::Tensor faces = images.to(device_, /*non_blocking=*/images.is_pinned());
  const at::Tensor straight = at::empty({images.size(0), dim()}, at::TensorOptions(at::kFloat).device(device_));
  const at::Tensor mirrored = at::empty_like(straight);
  for_each(2 * (whole_blocks(images.size(0), device_) / block()),
           [&](std::int64_t i) { embed_block(faces, i / 2, i % 2 == 1, i % 2 == 1 ? mirrored : straight); });
  return {straight, mirrored};
}

}  // namespace diffprob::model

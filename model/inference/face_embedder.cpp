#include "model/inference/face_embedder.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "model/inference/autocast.h"
#include "model/input/normalize.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kHostBlock = 16;
// Images of a block that go through all layers but the last together, by one thread, so that they
// stay in the cache. Images per CPU second for 1, 2, 4, 8, 16 (AVX-512, 2 MiB second cache):
// iresnet18 19.1 19.7 21.1 21.0 19.4, mobilefacenet 116 142 150 158 146, tiny 531 838 898 1047
// 1077.
constexpr std::int64_t kAtOnce = 8;
/// Number of rows whose features are held at a time: 100 KiB each for an IResNet.
constexpr std::int64_t kFeatureRows = 512;
static_assert(kHostBlock % kAtOnce == 0 && kFeatureRows % kHostBlock == 0);

}  // namespace

std::int64_t embedding_block(at::Device device) {
  return device.is_cpu() ? kHostBlock : 1;
}

std::int64_t whole_blocks(std::int64_t images, at::Device device) {
  const std::int64_t block = embedding_block(device);
  return (images + block - 1) / block * block;
}

FaceEmbedder::FaceEmbedder(Backbone& backbone, at::Device device, FaceEmbedderOptions options)
    : backbone_(backbone),
      device_(device),
      options_(options),
      root_training_(backbone.is_training()) {
  for (auto& module : backbone.modules(/*include_self=*/false))
    training_.emplace_back(module, module->is_training());
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
  // Parents come before their children here, and train() goes down the tree: the last word on a
  // module is its own.
  for (auto& [module, training] : training_) module->train(training);
}

at::Tensor FaceEmbedder::forward(const at::Tensor& images) const {
  if (folded_) return (*folded_)(images);
  const Autocast autocast(device_, options_.type);
  return backbone_.forward(normalize_faces(images, device_)).to(at::kFloat);
}

at::Tensor FaceEmbedder::filled_images(const Job& job, std::int64_t first, std::int64_t rows) {
  const std::int64_t count = std::min(rows, job.images.size(0) - first);
  at::Tensor images = job.images.narrow(0, first, count);
  if (count < rows) {
    const at::Tensor filled =
        at::zeros({rows, images.size(1), images.size(2), images.size(3)}, images.options());
    filled.narrow(0, 0, count).copy_(images);
    images = filled;
  }
  return job.mirrored ? images.flip(2) : images;
}

std::int64_t FaceEmbedder::batch_of(std::int64_t images) const {
  return whole_blocks(std::max(images, workers_ ? workers_->threads() * block() : 1), device_);
}

void FaceEmbedder::run_rebuilt_on_host(std::vector<Job>& jobs) const {
  const std::int64_t images = jobs.front().images.size(0);
  const auto ways = static_cast<std::int64_t>(jobs.size());
  for (Job& job : jobs)
    job.features =
        at::zeros({whole_blocks(images, device_), folded_->feature_count()}, job.out.options());
  workers_->run(ways * ((images + kAtOnce - 1) / kAtOnce), [&](std::int64_t i) {
    const Job& job = jobs[static_cast<std::size_t>(i % ways)];
    const std::int64_t first = i / ways * kAtOnce;
    job.features.narrow(0, first, kAtOnce)
        .copy_(folded_->features(filled_images(job, first, kAtOnce)));
  });
  workers_->run(ways * (whole_blocks(images, device_) / block()), [&](std::int64_t i) {
    const Job& job = jobs[static_cast<std::size_t>(i % ways)];
    const std::int64_t first = i / ways * block();
    const std::int64_t count = std::min(block(), images - first);
    job.out.narrow(0, first, count)
        .copy_(folded_->output(job.features.narrow(0, first, block())).narrow(0, 0, count));
  });
}

void FaceEmbedder::run(std::vector<Job> jobs) const {
  const std::int64_t images = jobs.front().images.size(0);
  if (folded_ && workers_) {
    for (std::int64_t first = 0; first < images; first += kFeatureRows) {
      std::vector<Job> part;
      const std::int64_t count = std::min(kFeatureRows, images - first);
      for (const Job& job : jobs)
        part.push_back(
            {job.images.narrow(0, first, count), job.mirrored, job.out.narrow(0, first, count)});
      run_rebuilt_on_host(part);
    }
    return;
  }
  const std::int64_t rows = workers_ ? block() : images;  // that go together
  const auto ways = static_cast<std::int64_t>(jobs.size());
  const auto one = [&](std::int64_t i) {
    const Job& job = jobs[static_cast<std::size_t>(i % ways)];
    const std::int64_t first = i / ways * rows;
    const at::Tensor embeddings = forward(filled_images(job, first, rows));
    TORCH_CHECK(embeddings.dim() == 2 && embeddings.size(0) == rows && embeddings.size(1) == dim(),
                "backbone: expected embeddings [", rows, ", ", dim(), "], got ",
                embeddings.sizes());
    const std::int64_t count = std::min(rows, images - first);
    job.out.narrow(0, first, count).copy_(embeddings.narrow(0, 0, count));
  };
  if (images == 0) return;
  if (workers_) return workers_->run(ways * (whole_blocks(images, device_) / rows), one);
  for (std::int64_t i = 0; i < ways; ++i) one(i);
}

at::Tensor FaceEmbedder::embed(const at::Tensor& images) const {
  const at::NoGradGuard no_grad;
  const at::Tensor out =
      at::empty({images.size(0), dim()}, at::TensorOptions(at::kFloat).device(device_));
  run({{images.to(device_, /*non_blocking=*/images.is_pinned()), false, out}});
  return out;
}

std::pair<at::Tensor, at::Tensor> FaceEmbedder::embed_with_mirror(const at::Tensor& images) const {
  const at::NoGradGuard no_grad;
  const at::Tensor faces = images.to(device_, /*non_blocking=*/images.is_pinned());
  const at::Tensor straight =
      at::empty({images.size(0), dim()}, at::TensorOptions(at::kFloat).device(device_));
  const at::Tensor mirrored = at::empty_like(straight);
  run({{faces, false, straight}, {faces, true, mirrored}});
  return {straight, mirrored};
}

}  // namespace diffprob::model

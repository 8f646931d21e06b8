#include "launch/scoring_pass.h"

#include <ATen/ATen.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "data/loader.h"
#include "launch/autocast.h"
#include "launch/training_data.h"
#include "model/inference_network.h"
#include "model/normalize.h"

namespace diffprob::launch {
namespace {

/// The network as score.fold and score.precision ask for it.
class Embed {
 public:
  Embed(model::Backbone& backbone, const Config& config) : backbone_(backbone), type_(scalar_type(config.score.precision)) {
    if (config.score.fold && model::InferenceNetwork::can_rebuild(backbone)) {
      folded_ = std::make_unique<model::InferenceNetwork>(backbone, type_);
    }
  }
  /// uint8 images [b, h, w, 3] on the device -> [b, D] float32.
  at::Tensor operator()(const at::Tensor& images) const {
    if (folded_) return (*folded_)(images);
    const at::Tensor faces = model::normalize_faces(images, images.device());
    if (images.size(0) == 0) return at::zeros({0, backbone_.embedding_dim()}, faces.options());
    const Autocast autocast(faces.device(), type_);
    return backbone_.forward(faces).to(at::kFloat);
  }

 private:
  model::Backbone& backbone_;
  at::ScalarType type_;
  std::unique_ptr<model::InferenceNetwork> folded_;
};

}  // namespace

std::int64_t scoring_batches(const data::Dataset& dataset, const Config& config) {
  return (dataset.size() + config.score.batch_size - 1) / config.score.batch_size;
}

void embed_batches(const std::shared_ptr<const data::Dataset>& dataset, const std::vector<std::int64_t>& batches, model::Backbone& backbone,
                   const Config& config, Runtime& runtime, const std::function<void(const EmbeddedBatch&)>& use) {
  const at::NoGradGuard no_grad;
  const std::int64_t size = config.score.batch_size;
  const auto all = std::make_shared<data::SequentialPlan>(dataset->size(), size, runtime.rank(), runtime.world_size());
  data::Loader loader(dataset, std::make_shared<data::ChosenBatches>(all, batches), loader_options(config, runtime));
  const Embed embed(backbone, config);
  data::Batch batch;
  for (std::size_t i = 0; loader.next(batch); ++i) {
    const at::Tensor embeddings = embed(batch.images.to(runtime.device(), /*non_blocking=*/true));
    const at::Tensor labels = batch.labels.to(runtime.device(), /*non_blocking=*/true);
    use({batches[i], batch.indices, embeddings, labels, runtime.rows_per_rank(std::min(size, dataset->size() - batches[i] * size))});
  }
  for (const auto& what : loader.replaced()) spdlog::warn("score: unreadable image scored as black: {}", what);
}

}  // namespace diffprob::launch

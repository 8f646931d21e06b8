#include "launch/score.h"

#include <spdlog/spdlog.h>

#include <unistd.h>
#include <chrono>
#include <limits>

#include "data/loader.h"
#include "launch/checkpoint.h"
#include "launch/evaluation_weights.h"
#include "launch/progress.h"
#include "launch/training_data.h"
#include "model/inference_network.h"
#include "model/normalize.h"

namespace diffprob::launch {
namespace {

/// Rows of one batch, from the device in one copy a column.
void append_records(const at::Tensor& indices, const model::HeadScores& scores, std::vector<prune::ScoreRecord>& records) {
  const auto column = [](const at::Tensor& t) { return t.to(at::kCPU, at::kFloat).contiguous(); };
  const at::Tensor index = indices.contiguous();
  const at::Tensor top1 = scores.top1.to(at::kCPU).contiguous();
  const at::Tensor nll = column(scores.nll), probability = column(scores.probability), first = column(scores.top1_log_prob),
                   second = column(scores.second_log_prob), sum_p2 = column(scores.sum_p2), entropy = column(scores.entropy),
                   cosine = column(scores.cosine), norm = column(scores.norm);
  for (std::int64_t i = 0; i < index.numel(); ++i) {
    const auto at = [i](const at::Tensor& t) { return t.const_data_ptr<float>()[i]; };
    records.push_back({static_cast<std::uint32_t>(index.const_data_ptr<std::int64_t>()[i]), at(nll), at(probability),
                       static_cast<std::int32_t>(top1.const_data_ptr<std::int64_t>()[i]), at(first), at(second), at(sum_p2), at(entropy),
                       at(cosine), at(norm)});
  }
}

/// The network as score.fold asks for it.
class Embed {
 public:
  Embed(model::Backbone& backbone, const Config& config) : backbone_(backbone) {
    if (config.score.fold && model::InferenceNetwork::can_rebuild(backbone)) folded_ = std::make_unique<model::InferenceNetwork>(backbone);
  }
  /// uint8 images [b, h, w, 3] on the device -> [b, D] float32.
  at::Tensor operator()(const at::Tensor& images) const {
    if (folded_) return (*folded_)(images);
    const at::Tensor faces = model::normalize_faces(images, images.device());
    return images.size(0) > 0 ? backbone_.forward(faces) : at::zeros({0, backbone_.embedding_dim()}, faces.options());
  }

 private:
  model::Backbone& backbone_;
  std::unique_ptr<model::InferenceNetwork> folded_;
};

/// A margin of 0 is none, whatever else the loss has.
model::MarginOptions scoring_margin(const model::ShardedHead& head, double margin) {
  model::MarginOptions options = head.options().margin;
  if (margin == 0) options.kind = model::MarginKind::kNone;
  options.margin = margin;
  return options;
}

std::vector<prune::ScoreRecord> score_own_rows(const std::shared_ptr<const data::Dataset>& dataset, LoadedModel& model,
                                               const Config& config, Runtime& runtime) {
  const at::NoGradGuard no_grad;
  const auto plan = std::make_shared<data::SequentialPlan>(dataset->size(), config.score.batch_size, runtime.rank(), runtime.world_size());
  data::Loader loader(dataset, plan, loader_options(config, runtime));
  const Embed embed(*model.backbone, config);
  const model::MarginOptions margin = scoring_margin(*model.head, config.score.margin);
  Progress progress("score", dataset->size(), "images", runtime.is_root() && ::isatty(2) != 0);
  std::vector<prune::ScoreRecord> records;
  data::Batch batch;
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t done = 0; loader.next(batch);) {
    const std::int64_t rows = std::min(config.score.batch_size, dataset->size() - done);
    const at::Tensor embeddings = embed(batch.images.to(runtime.device(), /*non_blocking=*/true));
    const at::Tensor labels = batch.labels.to(runtime.device(), /*non_blocking=*/true);
    append_records(batch.indices, model.head->score(embeddings, labels, runtime.rows_per_rank(rows), margin), records);
    done += rows;
    if (runtime.is_root()) progress.advance(done);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (runtime.is_root()) progress.finish();
  spdlog::info("scored {} images, {:.2f} a second", dataset->size(), static_cast<double>(dataset->size()) / seconds.count());
  for (const auto& what : loader.replaced()) spdlog::warn("score: unreadable image scored as black: {}", what);
  return records;
}

}  // namespace

LoadedModel load_model(const std::string& checkpoint, Runtime& runtime) {
  const CheckpointInfo info = read_checkpoint_info(checkpoint);
  model::HeadOptions options{info.num_classes, info.embedding_dim, model::margin_defaults(model::margin_kind(info.loss)), 1};
  options.margin.scale = info.scale;
  options.margin.margin = info.margin;
  LoadedModel loaded;
  loaded.backbone = model::make_backbone({info.backbone, info.embedding_dim, 0.0, 1});
  loaded.head = std::make_unique<model::ShardedHead>(options, runtime.tensors());
  loaded.backbone->to(runtime.device());
  loaded.backbone->eval();
  load_for_evaluation(checkpoint, *loaded.backbone);
  CheckpointState state;
  state.rows = {{"weight", loaded.head->weight()}};
  state.first_class = loaded.head->first_class();
  load_checkpoint(checkpoint, state);
  loaded.fingerprint = checkpoint_fingerprint(checkpoint);
  return loaded;
}

prune::ScoreTable score(const std::shared_ptr<const data::Dataset>& dataset, LoadedModel& model, const Config& config, Runtime& runtime) {
  const auto& head = model.head->options();
  TORCH_CHECK(dataset->size() <= std::numeric_limits<std::uint32_t>::max(), "score: ", dataset->size(), " samples, at most 2^32 - 1");
  TORCH_CHECK(dataset->num_classes() <= head.num_classes, "score: the data set has ", dataset->num_classes(),
              " identities, the head of the checkpoint only ", head.num_classes, ": it was trained on another set");
  prune::ScoreTable table;
  table.source = {dataset->fingerprint(),
                  model.fingerprint,
                  config.score.margin,
                  head.margin.scale,
                  dump_sections(config, {"score", "data.train", "data.on_corrupt"}),
                  dataset->num_classes()};
  table.records = prune::all_gather_records(score_own_rows(dataset, model, config, runtime), dataset->size(), runtime.control());
  table.labels.resize(static_cast<std::size_t>(dataset->size()));
  for (std::int64_t i = 0; i < dataset->size(); ++i)
    table.labels[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(dataset->label(i));
  return table;
}

}  // namespace diffprob::launch

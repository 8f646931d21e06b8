#include "launch/score/score.h"

#include <ATen/Context.h>
#include <spdlog/spdlog.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <filesystem>
#include <limits>
#include <numeric>

#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/network.h"
#include "launch/inputs/kept_list.h"
#include "launch/observe/progress.h"
#include "launch/score/centroids.h"
#include "launch/score/cost_file.h"
#include "launch/score/embedding_source.h"
#include "launch/score/part_cutter.h"
#include "launch/score/score_parts.h"
#include "launch/score/scoring_pass.h"

namespace diffprob::launch {
void append_records(const at::Tensor& indices, const model::HeadScores& scores,
                    std::vector<prune::ScoreRecord>& records) {
  const auto column = [](const at::Tensor& t) { return t.to(at::kCPU, at::kFloat).contiguous(); };
  const at::Tensor index = indices.contiguous();
  const at::Tensor top1 = scores.top1.to(at::kCPU).contiguous();
  const at::Tensor nll = column(scores.nll), probability = column(scores.probability),
                   first = column(scores.top1_log_prob), second = column(scores.second_log_prob),
                   sum_p2 = column(scores.sum_p2), entropy = column(scores.entropy),
                   cosine = column(scores.cosine), norm = column(scores.norm);
  for (std::int64_t i = 0; i < index.numel(); ++i) {
    const auto at = [i](const at::Tensor& t) { return t.const_data_ptr<float>()[i]; };
    TORCH_CHECK(std::isfinite(at(norm)), "score: the embedding of image ",
                index.const_data_ptr<std::int64_t>()[i], " has length ", at(norm),
                ": the weights are corrupted, or values in the network overflow float16 (then use "
                "score.precision=bf16 or fp32)");
    records.push_back({static_cast<std::uint32_t>(index.const_data_ptr<std::int64_t>()[i]), at(nll),
                       at(probability),
                       static_cast<std::int32_t>(top1.const_data_ptr<std::int64_t>()[i]), at(first),
                       at(second), at(sum_p2), at(entropy), at(cosine), at(norm)});
  }
}

namespace {

/// A margin of 0 is none, whatever else the loss has.
model::MarginOptions scoring_margin(const model::ShardedHead& head, double margin) {
  model::MarginOptions options = head.options().margin;
  if (margin == 0) options.kind = model::MarginKind::kNone;
  options.margin = margin;
  return options;
}

/// What the arithmetic of a device depends on: parts made on a CPU and on a GPU differ within
/// rounding.
std::string arithmetic_of(at::Device device) {
  if (device.is_cpu()) return "device: cpu\n";
  return at::globalContext().allowTF32CuBLAS() ? "device: cuda, tf32\n" : "device: cuda, fp32\n";
}

/// Nothing for a trained head: files of earlier versions say nothing of it.
std::string head_settings(const Config& config) {
  if (config.score.head == ScoreHead::kTrained) return "";
  return dump_sections(config, {"score.head"});
}

ScorePlan plan_of(const data::Dataset& dataset, const LoadedModel& model, const Config& config,
                  at::Device device) {
  const auto& margin = model.head->options().margin;
  return {dataset.size(),
          dataset.fingerprint(),
          model.fingerprint,
          config.score.margin,
          margin.scale,
          dump_sections(config,
                        {"score.fold", "score.precision", "data.on_corrupt", "data.image_size"}) +
              "loss: " + model::margin_name(margin.kind) + "\n" + head_settings(config) +
              arithmetic_of(device)};
}

/// Scores what is missing, part by part.
class PartByPart {
 public:
  PartByPart(LoadedModel& model, const Config& config, Runtime& runtime, ScoreParts& parts,
             const ScoringCostFile& cost_file)
      : model_(model),
        config_(config),
        runtime_(runtime),
        parts_(parts),
        cost_file_(cost_file),
        margin_(scoring_margin(*model.head, config.score.margin)),
        batch_(scoring_batch(config, runtime)),
        batches_(cut_into_batches(parts.missing(), batch_)),
        cutter_("score", batches_, {config.score.part_samples}, config.train.max_time, runtime) {}

  void run(const std::shared_ptr<const data::Dataset>& dataset) {
    const std::int64_t before = parts_.samples_done();
    if (before > 0)
      spdlog::info("score: resumes after {} of {} images, which an earlier run has scored", before,
                   dataset->size());
    EmbeddingSource source(dataset, model_.backbone.get(), config_, runtime_);
    source_ = &source;
    if (runtime_.is_root() && before > 0) earlier_ = cost_file_.read();
    if (config_.score.head == ScoreHead::kCentroids && !batches_.empty()) {
      const auto all = cut_into_batches({{0, dataset->size()}}, batch_);
      if (before == 0) source.keep(all, model_.head->options().embedding_dim);
      use_centroids(source, all, *model_.head, config_, runtime_);
    }
    std::int64_t done = before;
    Progress progress("score", dataset->size(), "images", runtime_.is_root() && ::isatty(2) != 0);
    progress.resume_at(done);
    const auto start = Clock::now();
    source.for_each(batches_, [&](const EmbeddedBatch& batch) {
      add(batch);
      done += std::accumulate(batch.row_counts.begin(), batch.row_counts.end(), std::int64_t{0});
      if (runtime_.is_root()) progress.advance(done);
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (runtime_.is_root()) progress.finish();
    spdlog::info("scored {} images, {:.2f} per second", done - before,
                 static_cast<double>(done - before) / std::max(seconds, 1e-9));
    embedded_ = source.images_embedded();
    source_ = nullptr;
  }

  /// Up to now, over all restarts.
  [[nodiscard]] ScoringCost cost() const {
    const std::int64_t embedded = source_ == nullptr ? embedded_ : source_->images_embedded();
    return {earlier_.seconds + std::chrono::duration<double>(Clock::now() - begin_).count(),
            earlier_.images + embedded};
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Pending {
    at::Tensor indices;
    model::PendingScores scores;
  };

  void add(const EmbeddedBatch& batch) {
    pending_.push_back(
        {batch.indices, model_.head->begin_score(batch.embeddings, batch.labels, batch.row_counts,
                                                 margin_, batch.samples.first)});
    take_pending(1);  // the GPU is at work on this batch while the host reads the one before
    if (!cutter_.ends()) return;
    take_pending(0);
    model_.head->check_labels();
    parts_.write(cutter_.part(), records_);
    records_.clear();
    if (runtime_.is_root()) cost_file_.write(cost());
    cutter_.written();
  }

  /// Records of all but the newest `left` batches.
  void take_pending(std::size_t left) {
    for (; pending_.size() > left; pending_.pop_front())
      append_records(pending_.front().indices, pending_.front().scores.finish(), records_);
  }

  LoadedModel& model_;
  const Config& config_;
  Runtime& runtime_;
  ScoreParts& parts_;
  const ScoringCostFile& cost_file_;
  Clock::time_point begin_ = Clock::now();
  ScoringCost earlier_;                      ///< of the runs before; rank 0
  const EmbeddingSource* source_ = nullptr;  ///< while run() is at work
  std::int64_t embedded_ = 0;                ///< after that
  model::MarginOptions margin_;
  std::int64_t batch_;
  std::vector<prune::SampleRange> batches_;
  PartCutter cutter_;
  std::deque<Pending> pending_;
  std::vector<prune::ScoreRecord> records_;  ///< of this part's batches that are not pending
};

}  // namespace

std::string score_settings(const Config& config) {
  return dump_sections(config, {"score.fold", "score.precision", "score.margin", "data.train",
                                "data.on_corrupt"}) +
         head_settings(config);
}

LoadedModel load_model(const std::string& checkpoint, Runtime& runtime) {
  const CheckpointInfo info = read_checkpoint_info(checkpoint);
  model::HeadOptions options{info.num_classes, info.embedding_dim,
                             model::margin_defaults(model::margin_kind(info.loss)), 1};
  options.margin.scale = info.scale;
  options.margin.margin = info.margin;
  LoadedModel loaded;
  loaded.backbone = load_network(checkpoint, {}, runtime.device()).backbone;
  loaded.head = std::make_unique<model::ShardedHead>(options, runtime.tensors());
  CheckpointState state;
  state.rows = {{"weight", loaded.head->weight()}};
  state.first_class = loaded.head->first_class();
  load_checkpoint(checkpoint, state);
  loaded.fingerprint = checkpoint_fingerprint(checkpoint);
  return loaded;
}

ScoringCost score(const std::shared_ptr<const data::Dataset>& dataset, LoadedModel& model,
                  const Config& config, const std::string& path, Runtime& runtime) {
  const auto& head = model.head->options();
  TORCH_CHECK(dataset->size() <= std::numeric_limits<std::uint32_t>::max(),
              "score: ", dataset->size(), " samples; at most 2^32 - 1");
  TORCH_CHECK(dataset->num_classes() == head.num_classes, "score: the data set has ",
              dataset->num_classes(), " identities, but the head of the checkpoint has ",
              head.num_classes, ": it was trained on a different set");
  const std::string folder = std::filesystem::path(path).replace_extension(".parts");
  ScoreParts parts(folder, plan_of(*dataset, model, config, runtime.device()), runtime.control());
  const ScoringCostFile cost_file(folder);
  PartByPart scoring(model, config, runtime, parts, cost_file);
  scoring.run(dataset);

  prune::ScoreTable table;
  table.source = {dataset->fingerprint(), model.fingerprint,      config.score.margin,
                  head.margin.scale,      score_settings(config), dataset->num_classes()};
  table.records = parts.read_all();
  if (runtime.is_root()) {
    table.source.part_of = part_of(*dataset);
    for (std::int64_t i = 0; i < dataset->size(); ++i)
      table.labels.push_back(static_cast<std::int32_t>(dataset->label(i)));
    prune::write_scores(path, table);
  }
  runtime.control().barrier("scores written");
  if (runtime.is_root()) cost_file.remove();
  parts.remove();
  return scoring.cost();
}

std::vector<prune::EpochRecord> record_samples(const std::shared_ptr<const data::Dataset>& dataset,
                                               const std::vector<std::int64_t>& samples,
                                               model::Backbone& backbone, model::ShardedHead& head,
                                               const Config& config, Runtime& runtime) {
  const auto part = std::make_shared<data::Subset>(dataset, samples, std::vector<std::int64_t>());
  const auto batches = cut_into_batches({{0, part->size()}}, scoring_batch(config, runtime));
  std::vector<prune::EpochRecord> records;
  backbone.eval();
  embed_batches(part, batches, {backbone}, config, runtime, [&](const EmbeddedBatch& batch) {
    const auto with_margin = head.score(batch.embeddings, batch.labels, batch.row_counts,
                                        head.margin().options(), batch.samples.first);
    std::vector<prune::ScoreRecord> plain;
    append_records(batch.indices,
                   head.score(batch.embeddings, batch.labels, batch.row_counts,
                              scoring_margin(head, 0), batch.samples.first),
                   plain);
    const at::Tensor probability = with_margin.probability.to(at::kCPU).contiguous();
    const at::Tensor labels = batch.labels.to(at::kCPU).contiguous();
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const prune::ScoreRecord& score = plain[i];
      const bool correct = score.top1 == labels.const_data_ptr<std::int64_t>()[i];
      const float other = correct ? score.second_log_prob : score.top1_log_prob;
      // No other class counts as one at a cosine of -1, as in training.
      const float margin = std::isfinite(other) ? -score.nll - other
                                                : static_cast<float>(head.options().margin.scale) *
                                                      (score.cosine + 1);
      records.push_back({static_cast<std::uint32_t>(part->parent_index(score.index)),
                         probability.const_data_ptr<float>()[i], margin,
                         static_cast<std::uint8_t>(correct)});
    }
  });
  return records;
}

}  // namespace diffprob::launch

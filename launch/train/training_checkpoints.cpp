#include "launch/train/training_checkpoints.h"

#include <spdlog/spdlog.h>

#include "launch/train/averaged_statistics.h"

namespace diffprob::launch {
namespace {

constexpr const char* kSkippedCounter = "skipped_updates";

/// What the weights depend on: a checkpoint made with other settings is not continued.
std::string settings_of(const TrainJob& job, const Config& config) {
  return training_settings(config) + "seed=" + std::to_string(job.seed) +
         "\ndataset=" + job.dataset->fingerprint() + "\n";
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += "\n  " + line;
  return text;
}

}  // namespace

TrainingCheckpoints::TrainingCheckpoints(const TrainJob& job, const Config& config,
                                         TrainStep& train_step, DynamicsRecorder* recorder,
                                         Runtime& runtime)
    : job_(job),
      config_(config),
      train_step_(train_step),
      recorder_(recorder),
      runtime_(runtime),
      settings_(settings_of(job, config)),
      writer_(job.folder + "/checkpoints",
              {config.train.keep_checkpoints, config.train.keep_every_epochs}, runtime.control()) {}

void TrainingCheckpoints::resume(TrainingProgress& progress) {
  const auto found = find_checkpoint(job_.folder + "/checkpoints", runtime_.control());
  if (!found) return start_from_weights();
  const CheckpointInfo info = read_checkpoint_info(*found);
  const auto& allowed = config_.train.allow_changes;
  const auto differences = settings_differences(info.settings, settings_, allowed);
  TORCH_CHECK(differences.empty(), "cannot resume ", *found,
              ": it was made with different settings:", joined(differences),
              "\nUse another --output, move that folder, or name the keys that may differ: "
              "--train.allow_changes=KEY,KEY");
  CheckpointState state = train_step_.state(train_step_.statistics());
  const std::vector<std::string> parts = {"loss",          "optimizer",    "scaler",         "ema",
                                          "head.momentum", "head.exp_avg", "head.exp_avg_sq"};
  load_checkpoint(*found, state, allowed.empty() ? std::vector<std::string>() : parts);
  progress.epoch = info.epoch;
  progress.batch = info.batch;
  progress.seconds = info.train_seconds;
  if (const auto skipped = info.counters.find(kSkippedCounter); skipped != info.counters.end()) {
    train_step_.set_skipped_before(skipped->second);
    progress.skipped = skipped->second;
  }
  if (recorder_ != nullptr) recorder_->load(*found);
  best_ = info.best_value;
  best_step_ = info.best_step;
  saved_step_ = info.step;
  writer_.resumed(*found);
  spdlog::info("{}: continues {} at epoch {}, batch {}", job_.name, *found, progress.epoch + 1,
               progress.batch);
}

void TrainingCheckpoints::start_from_weights() {
  if (config_.train.init.empty()) return;
  load_backbone_weights(config_.train.init, model::state_dict(train_step_.backbone()));
  spdlog::info("{}: starts from the network of {} with a new head", job_.name, config_.train.init);
}

void TrainingCheckpoints::save(const TrainingProgress& progress, double train_seconds) {
  const AveragedStatistics averaged(train_step_.statistics(), runtime_.tensors());
  CheckpointState state = train_step_.state(averaged.own());
  if (recorder_ != nullptr) state.dynamics = recorder_->state();
  writer_.start(info(progress, train_seconds), state);
  saved_step_ = progress.step();
}

void TrainingCheckpoints::note_best(const std::vector<eval::SetReport>& reports,
                                    std::int64_t step) {
  for (const auto& report : reports) {
    if (report.name != config_.train.best_set ||
        (best_ && report.verification.accuracy_mean <= *best_))
      continue;
    best_ = report.verification.accuracy_mean;
    best_step_ = step;
  }
}

CheckpointInfo TrainingCheckpoints::info(const TrainingProgress& progress,
                                         double train_seconds) const {
  CheckpointInfo info;
  info.step = progress.step();
  info.epoch = progress.epoch;
  info.batch = progress.batch;
  info.train_seconds = train_seconds;
  info.backbone = config_.model.network.name;
  info.embedding_dim = config_.model.network.embedding_dim;
  info.num_classes = job_.dataset->num_classes();
  info.loss = model::margin_name(config_.model.head.margin.kind);
  info.scale = config_.model.head.margin.scale;
  info.margin = model::with_published_values(config_.model.head.margin).margin;
  info.settings = settings_;
  info.seed = job_.seed;
  info.consumed_samples = progress.step() * config_.train.batch_size;
  info.schedule = model::lr_name(config_.train.schedule.kind);
  info.config = dump_config(config_, DumpStyle::kPlain);
  info.counters = {{kSkippedCounter, progress.skipped}};
  info.best_set = config_.train.best_set;
  info.best_value = best_;
  info.best_step = best_step_;
  return info;
}

}  // namespace diffprob::launch

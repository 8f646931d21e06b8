#include "launch/train/training_checkpoints.h"

#include <algorithm>
#include <charconv>

#include <spdlog/spdlog.h>

#include "data/files/text_lines.h"
#include "data/sets/set_names.h"
#include "launch/checkpoint/network.h"
#include "launch/score/head_labels.h"
#include "launch/train/averaged_statistics.h"

namespace diffprob::launch {
namespace {

constexpr const char* kSkippedCounter = "skipped_updates";

/// What the weights depend on: a checkpoint made with other settings is not continued.
std::string settings_of(const TrainJob& job, const Config& config) {
  return training_settings(config) + "seed=" + std::to_string(job.seed) +
         "\ndataset=" + job.dataset->fingerprint() + "\n";
}

/// What a best checkpoint is the best of. A mean over other sets is another one.
std::string best_set_of(const Config& config) {
  if (config.train.best_set != kMeanOfSets) return config.train.best_set;
  return fmt::format("mean of {}", fmt::join(data::set_names(config.eval.sets), ", "));
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += "\n  " + line;
  return text;
}

/// What to do about settings that differ. Another data set usually has other people, to whom the
/// head does not belong.
std::string advice(const std::vector<std::string>& differences) {
  const bool other_dataset =
      std::any_of(differences.begin(), differences.end(),
                  [](const std::string& line) { return line.starts_with("dataset:"); });
  return other_dataset ? "\nUse another --output, with --train.init to start from this network "
                         "with a new head for other people"
                       : "\nUse another --output, move that folder, or name the keys that may "
                         "differ: --train.allow_changes=KEY,KEY";
}

std::optional<std::int64_t> batch_size_of(const std::string& settings) {
  const std::string text = data::parse_key_values(settings)["train.batch_size"];
  std::int64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  return error == std::errc() && end == text.data() + text.size() && size > 0 ? std::optional(size)
                                                                              : std::nullopt;
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
      best_set_(best_set_of(config)),
      writer_(job.folder + "/checkpoints",
              {config.train.keep_checkpoints, config.train.keep_every_epochs}, runtime.control()) {}

void TrainingCheckpoints::resume(TrainingProgress& progress) {
  const auto found = find_checkpoint(job_.folder + "/checkpoints", runtime_.control());
  if (!found) return start_from_weights();
  const CheckpointInfo info = read_checkpoint_info(*found);
  const auto& allowed = config_.train.allow_changes;
  const auto differences = settings_differences(info.settings, settings_, allowed);
  if (!differences.empty())
    throw ConfigError({fmt::format("cannot resume {}: it was made with different settings:{}{}",
                                   *found, joined(differences), advice(differences))});
  check_classes(*found, info);
  CheckpointState state = train_step_.state(train_step_.statistics());
  const std::vector<std::string> parts = {"loss",          "optimizer",    "scaler",         "ema",
                                          "head.momentum", "head.exp_avg", "head.exp_avg_sq"};
  load_checkpoint(*found, state, allowed.empty() ? std::vector<std::string>() : parts);
  resume_at(info, progress);
  if (const auto skipped = info.counters.find(kSkippedCounter); skipped != info.counters.end()) {
    train_step_.set_skipped_before(skipped->second);
    progress.skipped = skipped->second;
  }
  if (recorder_ != nullptr) recorder_->load(*found);
  if (best_set_.empty()) best_set_ = info.best_set;
  if (best_set_ == info.best_set) {
    best_ = info.best_value;
    best_step_ = info.best_step;
  }
  saved_step_ = info.step;
  writer_.resumed(*found);
  spdlog::info("{}: continues {} at epoch {}, batch {}", job_.name, *found, progress.epoch + 1,
               progress.batch);
}

/// Takes the place in the epochs over, also from a checkpoint made with another batch size.
void TrainingCheckpoints::resume_at(const CheckpointInfo& info, TrainingProgress& progress) {
  const std::int64_t size = config_.train.batch_size;
  const std::int64_t old_size = batch_size_of(info.settings).value_or(size);
  progress.resume_at(info.epoch, info.batch, old_size, size, info.step);
  progress.seconds = info.train_seconds;
  resumed_step_ = info.step;
  resumed_samples_ = info.consumed_samples;
  if (old_size == size) return;
  const std::int64_t again =
      info.epoch == progress.epoch ? info.batch * old_size - progress.batch * size : 0;
  spdlog::info(
      "{}: the global batch was {} and is {}; {} updates are done, and epoch {} goes on at batch "
      "{} of {}{}",
      job_.name, old_size, size, info.step, progress.epoch + 1, progress.batch,
      progress.steps_per_epoch,
      again > 0 ? fmt::format(" ({} of its samples are trained on again)", again) : "");
}

/// Refuses a checkpoint whose head has other classes: row k of it is the centre of class k.
void TrainingCheckpoints::check_classes(const std::string& checkpoint,
                                        const CheckpointInfo& info) const {
  const std::int64_t classes = job_.dataset->num_classes();
  if (info.num_classes != classes)
    throw ConfigError({fmt::format(
        "cannot resume {}: its head has {} identities, but the training set has {}. To train its "
        "network on other people, use another --output and --train.init={}",
        checkpoint, info.num_classes, classes, checkpoint)});
  if (data::parse_key_values(info.settings)["dataset"] != job_.dataset->fingerprint())
    spdlog::warn(
        "{}: the training set is another one than that of {}, and both have {} identities: class "
        "centres are reused by number, which is right only if identity k is the same person in "
        "both; otherwise use another --output and --train.init={}",
        job_.name, checkpoint, classes, checkpoint);
}

void TrainingCheckpoints::start_from_weights() {
  if (config_.train.init.empty()) return;
  const std::string remark =
      train_step_.start_from(config_.train.init, shape_of_weight_file(config_.model));
  if (!remark.empty()) spdlog::info("{}: {}", job_.name, remark);
  if (!config_.model.head_files.empty()) return start_from_head();
  spdlog::info("{}: starts from the network of {} with a new head", job_.name, config_.train.init);
}

/// The optimiser of the head has just been made: its momenta are zero.
void TrainingCheckpoints::start_from_head() {
  model::ShardedHead& head = train_step_.head();
  const model::HeadFiles files(config_.model.head_files, head.options().embedding_dim);
  check_head_classes(files, job_.dataset->num_classes());
  files.read(head.first_class(), head.weight());
  spdlog::info("{}: starts from the network of {} and the class centres of {}", job_.name,
               config_.train.init, files.text());
}

void TrainingCheckpoints::save(const TrainingProgress& progress, double train_seconds) {
  const AveragedStatistics averaged(train_step_.statistics(), runtime_.tensors());
  CheckpointState state = train_step_.state(averaged.own());
  if (recorder_ != nullptr) state.dynamics = recorder_->state();
  writer_.start(info(progress, train_seconds), state);
  saved_step_ = progress.step();
}

bool TrainingCheckpoints::note_best(const std::vector<eval::SetReport>& reports,
                                    std::int64_t step) {
  const auto found = result(reports);
  if (!found || (best_ && *found <= *best_)) return false;
  best_ = found;
  best_step_ = step;
  return true;
}

/// The accuracy on train.best_set.
std::optional<double> TrainingCheckpoints::result(
    const std::vector<eval::SetReport>& reports) const {
  const std::string& name = config_.train.best_set;
  double sum = 0;
  std::int64_t sets = 0;
  for (const auto& report : reports) {
    if (name != kMeanOfSets && report.name != name) continue;
    sum += report.verification.accuracy_mean;
    ++sets;
  }
  return sets > 0 ? std::optional(sum / static_cast<double>(sets)) : std::nullopt;
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
  info.consumed_samples =
      resumed_samples_ + (progress.step() - resumed_step_) * config_.train.batch_size;
  info.schedule = model::lr_name(config_.train.schedule.kind);
  info.config = dump_config(config_, DumpStyle::kPlain);
  info.counters = {{kSkippedCounter, progress.skipped}};
  info.best_set = best_set_;
  info.best_value = best_;
  info.best_step = best_step_;
  return info;
}

}  // namespace diffprob::launch

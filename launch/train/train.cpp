#include "launch/train/train.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <cmath>
#include <filesystem>

#include "launch/checkpoint/writer.h"
#include "launch/config/precision.h"
#include "launch/evaluate/verification_file.h"
#include "launch/evaluate/verify.h"
#include "launch/inputs/training_data.h"
#include "launch/job/signals.h"
#include "launch/observe/memory_use.h"
#include "launch/observe/order_trace.h"
#include "launch/observe/profile_trace.h"
#include "launch/observe/progress.h"
#include "launch/observe/tensorboard.h"
#include "launch/score/score.h"
#include "launch/train/dynamics_recorder.h"
#include "launch/train/optimizers.h"
#include "launch/train/trainer.h"

namespace diffprob::launch {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t kWarmUpSteps = 3;  // before a trace
constexpr std::size_t kShownIndices = 8;
constexpr const char* kSkippedCounter = "skipped_updates";

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

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

/// One training, from resume to the last checkpoint.
class Training {
 public:
  Training(const TrainJob& job, const Config& config, std::vector<eval::ResidentSet>& sets,
           Metrics& metrics, Runtime& runtime)
      : job_(job),
        config_(config),
        sets_(sets),
        metrics_(metrics),
        runtime_(runtime),
        data_(config, job.dataset, job.seed, runtime),
        trainer_(config, job.dataset->num_classes(), job.seed, runtime),
        schedule_(make_schedule(config, data_.steps_per_epoch())),
        settings_(settings_of(job, config)),
        writer_(job.folder + "/checkpoints",
                {config.train.keep_checkpoints, config.train.keep_every_epochs}, runtime.control()),
        stop_(config.train.max_time, runtime.control()) {
    if (config_.train.record) {
      using Visits = DynamicsRecorder::Visits;
      const Visits visits =
          config_.data.sampling == "uniform" ? Visits::kOnceAnEpoch : Visits::kAnyNumber;
      recorder_.emplace(job_.dataset->size(), config_.train.batch_size, visits, runtime_);
      trainer_.record_into(recorder_->steps());
    }
    resume();
    if (runtime_.is_root() && config_.train.tensorboard) {
      tensorboard_.emplace(config_.output + "/tensorboard/" + job_.name, step());
    }
    if (config_.train.trace_order) order_.emplace(job_.folder, runtime_.rank(), step());
    trace_.emplace(
        ProfileOptions{fmt::format("{}/trace.rank{:05d}.json", job_.folder, runtime_.rank()),
                       step() + kWarmUpSteps, config_.train.profile_steps},
        runtime_.device());
  }

  TrainOutcome run() {
    TrainOutcome outcome;
    if (job_.verify_untrained && step() == 0) outcome.untrained = verify(0);
    while (epoch_ < config_.train.epochs) {
      train_epoch();
      next_epoch();
      end_epoch(outcome);
    }
    if (checkpoint_step_ != step()) save();
    writer_.finish();
    if (outcome.reports.empty()) outcome.reports = verify(epoch_);
    if (runtime_.is_root())
      write_verification(job_.folder + "/verification.json", outcome.untrained, outcome.reports);
    outcome.checkpoint = writer_.newest();
    if (recorder_) outcome.dynamics = write_dynamics();
    outcome.steps = step();
    outcome.seconds = seconds_;
    return outcome;
  }

 private:
  [[nodiscard]] std::int64_t step() const { return epoch_ * data_.steps_per_epoch() + batch_; }
  [[nodiscard]] std::int64_t all_steps() const {
    return config_.train.epochs * data_.steps_per_epoch();
  }

  void resume() {
    const auto found = find_checkpoint(job_.folder + "/checkpoints", runtime_.control());
    if (!found) return start_from_weights();
    const CheckpointInfo info = read_checkpoint_info(*found);
    const auto& allowed = config_.train.allow_changes;
    const auto differences = settings_differences(info.settings, settings_, allowed);
    TORCH_CHECK(differences.empty(), "cannot continue ", *found,
                ": it was made with other settings:", joined(differences),
                "\nUse another --output, move that folder away, or name the keys that may differ: "
                "--train.allow_changes=KEY,KEY");
    CheckpointState state = trainer_.state(trainer_.statistics());
    const std::vector<std::string> parts = {
        "loss", "optimizer", "scaler", "ema", "head.momentum", "head.exp_avg", "head.exp_avg_sq"};
    load_checkpoint(*found, state, allowed.empty() ? std::vector<std::string>() : parts);
    epoch_ = info.epoch;
    batch_ = info.batch;
    seconds_ = info.train_seconds;
    if (const auto skipped = info.counters.find(kSkippedCounter); skipped != info.counters.end()) {
      trainer_.set_skipped_before(skipped->second);
      skipped_ = skipped->second;
    }
    if (recorder_) recorder_->load(*found);
    best_ = info.best_value;
    best_step_ = info.best_step;
    checkpoint_step_ = info.step;
    writer_.resumed(*found);
    spdlog::info("{}: continues {} at epoch {}, batch {}", job_.name, *found, epoch_ + 1, batch_);
  }

  void start_from_weights() {
    if (config_.train.init.empty()) return;
    load_backbone_weights(config_.train.init, model::state_dict(trainer_.backbone()));
    spdlog::info("{}: starts from the network of {}, with a new head", job_.name,
                 config_.train.init);
  }

  void train_epoch() {
    const auto loader = data_.loader(epoch_, batch_);
    data::Batch batch;
    begin_interval(0);
    while (true) {
      trainer_.timer().enter(Phase::kDataWait);
      if (!loader->next(batch)) break;
      const double rate = schedule_.at_step(step());
      trace_->before_step(step());
      if (order_) order_->write(step(), batch.indices);
      trainer_.step(batch, step(), rate);
      ++batch_;
      const bool last = batch_ == data_.steps_per_epoch();
      if (step() % config_.train.log_every == 0 || last) log(rate, loader->wait_seconds());
      const bool due =
          config_.train.checkpoint_every > 0 && step() % config_.train.checkpoint_every == 0;
      if (due && !last) save();
      if (stop_.agreed()) stop(loader->wait_seconds());
    }
    trainer_.timer().drop();
    for (const auto& what : loader->replaced())
      spdlog::warn("{}: unreadable image replaced: {}", job_.name, what);
  }

  /// The checkpoint is written before this throws.
  void stop(double wait_so_far) {
    if (step() != interval_step_) log(schedule_.at_step(step() - 1), wait_so_far);
    if (checkpoint_step_ != step()) {
      if (batch_ == data_.steps_per_epoch()) next_epoch();
      save();
    }
    writer_.finish();
    throw Stopped(fmt::format("{}: stopped by {} after step {} of {}; {} is written", job_.name,
                              stop_.reason(), step(), all_steps(), writer_.newest()));
  }

  void next_epoch() {
    if (recorder_) recorder_->end_epoch();
    ++epoch_;
    batch_ = 0;
  }

  /// The network is that of verification from here on.
  std::string write_dynamics() {
    if (recorder_->epochs() == 0) {
      spdlog::warn("{}: no epoch was recorded: no dynamics.h5", job_.name);
      return "";
    }
    const auto left_out = recorder_->never_visited();
    if (!left_out.empty()) {
      spdlog::info("{}: {} samples were in no epoch: recorded with the trained network", job_.name,
                   left_out.size());
      const Trainer::ForEvaluation network(trainer_);
      recorder_->add_never_visited(record_samples(job_.dataset, left_out, trainer_.backbone(),
                                                  trainer_.head(), config_, runtime_));
    }
    const std::string path = job_.folder + "/dynamics.h5";
    const auto& margin = trainer_.head().margin().options();
    recorder_->write(
        path,
        {job_.dataset->fingerprint(), checkpoint_fingerprint(writer_.newest()), margin.margin,
         margin.scale, training_settings(config_), job_.dataset->num_classes()},
        *job_.dataset);
    spdlog::info("{}: training dynamics of {} samples: {}", job_.name, job_.dataset->size(), path);
    return path;
  }

  void begin_interval(double wait_so_far) {
    interval_start_ = Clock::now();
    interval_step_ = step();
    interval_wait_ = wait_so_far;
  }

  void log(double rate, double wait_so_far) {
    const RunningMeans means = trainer_.take_means();
    const StepTimes times = trainer_.timer().take();
    if (recorder_) recorder_->collect();
    report_skipped();
    const double seconds = seconds_since(interval_start_);
    const auto steps = static_cast<double>(step() - interval_step_);
    const double images_per_second =
        steps * static_cast<double>(config_.train.batch_size) / std::max(seconds, 1e-9);
    const double left = static_cast<double>(all_steps() - step()) * seconds / std::max(steps, 1.0);
    const double wait_share = (wait_so_far - interval_wait_) / std::max(seconds, 1e-9);
    const MemoryUse memory = memory_use(runtime_.device());
    spdlog::info(
        "{}: epoch {}/{} step {}/{}  loss {:.4f}  acc {:.1f}%  lr {:.4g}  {:.1f} images/s  data "
        "wait {:.0f}%  ETA {}",
        job_.name, epoch_ + 1, config_.train.epochs, step(), all_steps(), means.loss,
        100 * means.accuracy, rate, images_per_second, 100 * wait_share, format_duration(left));
    nlohmann::ordered_json line = {{"stage", job_.name},
                                   {"kind", "train"},
                                   {"epoch", epoch_},
                                   {"step", step()},
                                   {"loss", means.loss},
                                   {"accuracy", means.accuracy},
                                   {"lr", rate},
                                   {"gradient_norm", means.gradient_norm},
                                   {"skipped", skipped_},
                                   {"images_per_second", images_per_second},
                                   {"data_wait", wait_share},
                                   {"host_peak_bytes", memory.host_peak},
                                   {"device_peak_bytes", memory.device_peak}};
    for (std::size_t i = 0; i < kPhases; ++i)
      line[std::string("ms_") + phase_name(static_cast<Phase>(i))] = times.phase[i];
    write(line);
    seconds_ += seconds;
    begin_interval(wait_so_far);
  }

  /// One line in metrics.jsonl, its numbers as TensorBoard curves.
  void write(const nlohmann::ordered_json& line) {
    metrics_.write(line);
    if (!tensorboard_) return;
    const std::string prefix =
        line.at("kind").get<std::string>() +
        (line.contains("set") ? "/" + line.at("set").get<std::string>() : "") + "/";
    std::vector<TaggedValue> values;
    for (const auto& [key, value] : line.items()) {
      if (value.is_number() && key != "step")
        values.emplace_back(prefix + key, value.get<double>());
    }
    tensorboard_->write(step(), values);
  }

  void report_skipped() {
    const auto found = trainer_.take_skipped();
    skipped_ = found.total;
    for (const auto skipped : found.steps) {
      const auto indices =
          data_.global_batch(skipped / data_.steps_per_epoch(), skipped % data_.steps_per_epoch());
      metrics_.write(
          {{"stage", job_.name}, {"kind", "skipped"}, {"step", skipped}, {"indices", indices}});
      std::vector<std::int64_t> shown(
          indices.begin(),
          indices.begin() + static_cast<std::ptrdiff_t>(std::min(kShownIndices, indices.size())));
      spdlog::warn(
          "{}: update {} left out on all ranks: loss or gradient not finite; samples {}{} (all in "
          "metrics.jsonl)",
          job_.name, skipped, fmt::join(shown, ", "),
          indices.size() > kShownIndices ? ", ..." : "");
    }
    TORCH_CHECK(found.longest_run < config_.train.max_skipped, job_.name, ": ", found.longest_run,
                " updates in a row had a loss or gradient that is not finite (train.max_skipped=",
                config_.train.max_skipped,
                "). Lower train.lr or raise train.warmup_epochs; the last checkpoint is ",
                writer_.newest().empty() ? "not there yet" : writer_.newest());
  }

  void end_epoch(TrainOutcome& outcome) {
    const bool last = epoch_ == config_.train.epochs;
    const bool due =
        config_.train.eval_every_epochs > 0 && epoch_ % config_.train.eval_every_epochs == 0;
    if (last || due) {
      const auto reports = verify(epoch_);
      if (last) outcome.reports = reports;
      note_best(reports);
    }
    const std::int64_t every = config_.train.checkpoint_every;
    if (last || every == 0 || step() % every == 0 || best_step_ == step()) save();
  }

  void note_best(const std::vector<eval::SetReport>& reports) {
    for (const auto& report : reports) {
      if (report.name != config_.train.best_set ||
          (best_ && report.verification.accuracy_mean <= *best_))
        continue;
      best_ = report.verification.accuracy_mean;
      best_step_ = step();
    }
  }

  std::vector<eval::SetReport> verify(std::int64_t epochs_done) {
    const std::string what =
        fmt::format("{} after {} epoch{}", job_.name, epochs_done, epochs_done == 1 ? "" : "s");
    const Trainer::ForEvaluation network(trainer_);
    auto reports = verify_sets(what, sets_, trainer_.backbone(), config_, runtime_);
    for (const auto& report : reports) {
      write({{"stage", job_.name},
             {"kind", "eval"},
             {"epoch", epochs_done},
             {"step", step()},
             {"set", report.name},
             {"accuracy", report.verification.accuracy_mean},
             {"auc", report.auc},
             {"eer", report.eer}});
    }
    return reports;
  }

  [[nodiscard]] CheckpointInfo info() const {
    CheckpointInfo info;
    info.step = step();
    info.epoch = epoch_;
    info.batch = batch_;
    info.train_seconds = seconds_ + (step() == interval_step_ ? 0 : seconds_since(interval_start_));
    info.backbone = config_.model.backbone;
    info.embedding_dim = config_.model.embedding_dim;
    info.num_classes = job_.dataset->num_classes();
    info.loss = config_.model.loss;
    info.scale = config_.model.scale;
    info.margin = margin_options(config_).margin;
    info.settings = settings_;
    info.seed = job_.seed;
    info.consumed_samples = step() * config_.train.batch_size;
    info.schedule = config_.train.schedule;
    info.config = dump_config(config_, DumpStyle::kPlain);
    info.counters = {{kSkippedCounter, skipped_}};
    info.best_set = config_.train.best_set;
    info.best_value = best_;
    info.best_step = best_step_;
    return info;
  }

  void save() {
    const AveragedStatistics averaged(trainer_.statistics(), runtime_.tensors());
    CheckpointState state = trainer_.state(averaged.own());
    if (recorder_) state.dynamics = recorder_->state();
    writer_.start(info(), state);
    checkpoint_step_ = step();
  }

  const TrainJob& job_;
  const Config& config_;
  std::vector<eval::ResidentSet>& sets_;
  Metrics& metrics_;
  Runtime& runtime_;
  TrainingData data_;
  Trainer trainer_;
  model::LrSchedule schedule_;
  std::string settings_;
  CheckpointWriter writer_;
  StopAgreement stop_;
  std::optional<TensorBoard> tensorboard_;
  std::optional<DynamicsRecorder> recorder_;
  std::optional<OrderTrace> order_;
  std::optional<ProfileTrace> trace_;
  std::int64_t epoch_ = 0;
  std::int64_t batch_ = 0;  ///< of this epoch, done
  double seconds_ = 0;
  std::int64_t skipped_ = 0;
  std::optional<double> best_;
  std::int64_t best_step_ = -1;
  std::int64_t checkpoint_step_ = -1;
  Clock::time_point interval_start_ = Clock::now();  ///< since the last log line
  std::int64_t interval_step_ = 0;
  double interval_wait_ = 0;
};

}  // namespace

std::string training_settings(const Config& config) {
  const TrainConfig defaults;
  Config relevant = config;
  auto& train = relevant.train;
  train.max_skipped = defaults.max_skipped;
  train.max_time = defaults.max_time;
  train.allow_changes = defaults.allow_changes;
  train.deterministic = defaults.deterministic;
  train.trace_order = defaults.trace_order;
  train.profile_steps = defaults.profile_steps;
  train.tensorboard = defaults.tensorboard;
  train.log_every = defaults.log_every;
  train.checkpoint_every = defaults.checkpoint_every;
  train.keep_checkpoints = defaults.keep_checkpoints;
  train.keep_every_epochs = defaults.keep_every_epochs;
  train.best_set = defaults.best_set;
  train.eval_every_epochs = defaults.eval_every_epochs;
  relevant.model.checkpoint.clear();
  return dump_sections(relevant, {"model", "train", "augment", "data.flip", "data.image_size",
                                  "data.on_corrupt", "data.sampling", "data.sampling_power"});
}

TrainOutcome train(const TrainJob& job, const Config& config, std::vector<eval::ResidentSet>& sets,
                   Metrics& metrics, Runtime& runtime) {
  const std::int64_t smallest = 2 * runtime.world_size() * config.train.accumulate;
  TORCH_CHECK(config.train.batch_size >= smallest || config.model.sync_batch_norm,
              "train.batch_size is ", config.train.batch_size, " for ", runtime.world_size(),
              " ranks and train.accumulate=", config.train.accumulate,
              ": BatchNorm needs at least 2 samples at a time on each, so at least ", smallest);
  std::filesystem::create_directories(job.folder);
  spdlog::info("{}: {} images, {} identities, {} with {} on {} classes, global batch {}", job.name,
               job.dataset->size(), job.dataset->num_classes(), config.model.backbone,
               config.model.loss, job.dataset->num_classes(), config.train.batch_size);
  return Training(job, config, sets, metrics, runtime).run();
}

}  // namespace diffprob::launch

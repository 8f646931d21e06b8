#include "launch/train.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <cmath>
#include <filesystem>

#include "data/loader.h"
#include "data/sampler.h"
#include "launch/checkpoint.h"
#include "launch/progress.h"
#include "launch/trainer.h"

namespace diffprob::launch {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What the weights depend on: a checkpoint made with other settings is not continued.
std::string settings_of(const TrainJob& job, const Config& config) {
  Config relevant = config;  // keys that change nothing in the result
  relevant.train.log_every = TrainConfig().log_every;
  relevant.train.keep_checkpoints = TrainConfig().keep_checkpoints;
  relevant.model.checkpoint.clear();
  return dump_sections(relevant, {"model", "train", "data.flip", "data.image_size", "data.on_corrupt"}) +
         "seed=" + std::to_string(job.seed) + "\ndataset=" + job.dataset->fingerprint() + "\n";
}

/// One training, from resume to the last checkpoint.
class Training {
 public:
  Training(const TrainJob& job, const Config& config, const std::vector<data::VerificationSet>& sets, Metrics& metrics, Runtime& runtime)
      : job_(job),
        config_(config),
        sets_(sets),
        metrics_(metrics),
        runtime_(runtime),
        steps_per_epoch_(plan(0)->num_batches()),
        trainer_(config, job.dataset->num_classes(), job.seed, runtime),
        schedule_(
            {config.train.lr, config.train.lr_reference_batch, config.train.milestones, config.train.lr_gamma, config.train.warmup_epochs},
            config.train.batch_size, steps_per_epoch_),
        settings_(settings_of(job, config)) {}

  TrainOutcome run() {
    TrainOutcome outcome;
    resume();
    if (job_.verify_untrained && step() == 0) outcome.untrained = verify(0);
    while (epoch_ < config_.train.epochs) {
      train_epoch();
      ++epoch_;
      batch_ = 0;
      end_epoch(outcome);
    }
    if (checkpoint_.empty() || checkpoint_step_ != step()) save();
    if (outcome.reports.empty()) outcome.reports = verify(epoch_);
    outcome.checkpoint = checkpoint_;
    outcome.steps = step();
    outcome.seconds = seconds_;
    return outcome;
  }

 private:
  [[nodiscard]] std::int64_t step() const { return epoch_ * steps_per_epoch_ + batch_; }
  [[nodiscard]] std::string checkpoint_folder() const { return job_.folder + "/checkpoints"; }

  [[nodiscard]] std::shared_ptr<data::TrainPlan> plan(std::int64_t epoch) const {
    return std::make_shared<data::TrainPlan>(job_.dataset->size(), config_.train.batch_size, job_.seed, epoch, runtime_.rank(),
                                             runtime_.world_size());
  }

  void resume() {
    const auto found = find_checkpoint(checkpoint_folder(), runtime_);
    if (!found) return;
    const CheckpointInfo info = read_checkpoint_info(*found);
    const auto differences = settings_differences(info.settings, settings_);
    std::string list;
    for (const auto& difference : differences) list += "\n  " + difference;
    TORCH_CHECK(differences.empty(), "cannot continue ", *found, ": it was made with other settings:", list,
                "\nUse another --output, or move that folder away.");
    CheckpointState state = trainer_.state();
    load_checkpoint(*found, state);
    epoch_ = info.epoch;
    batch_ = info.batch;
    seconds_ = info.train_seconds;
    checkpoint_ = *found;
    checkpoint_step_ = info.step;
    spdlog::info("{}: continues {} at epoch {}, batch {}", job_.name, *found, epoch_ + 1, batch_);
  }

  void train_epoch() {
    const data::LoaderOptions options{.image_size = static_cast<int>(config_.data.image_size),
                                      .decode_threads = static_cast<int>(config_.data.decode_threads),
                                      .prefetch_batches = static_cast<int>(config_.data.prefetch_batches),
                                      .flip = config_.data.flip,
                                      .pin_memory = runtime_.device().is_cuda(),
                                      .on_corrupt = config_.data.on_corrupt == "fail" ? data::OnCorrupt::kFail : data::OnCorrupt::kReplace};
    data::Loader loader(job_.dataset, plan(epoch_), options, batch_);
    data::Batch batch;
    interval_start_ = Clock::now();
    interval_step_ = step();
    interval_wait_ = 0;
    while (loader.next(batch)) {
      const double rate = schedule_.at_step(step());
      trainer_.step(batch, step(), rate);
      ++batch_;
      if (step() % config_.train.log_every == 0 || batch_ == steps_per_epoch_) log(rate, loader.wait_seconds());
      const bool due = config_.train.checkpoint_every > 0 && step() % config_.train.checkpoint_every == 0;
      if (due && batch_ < steps_per_epoch_) {
        save();
        interval_start_ = Clock::now();
      }
    }
    for (const auto& what : loader.replaced()) spdlog::warn("{}: unreadable image replaced: {}", job_.name, what);
  }

  void log(double rate, double wait_so_far) {
    const RunningMeans means = trainer_.take_means();
    TORCH_CHECK(std::isfinite(means.loss), job_.name, ": the loss is not finite at step ", step(),
                ". Lower train.lr, or raise train.warmup_epochs; the last whole checkpoint is ",
                checkpoint_.empty() ? "not there yet" : checkpoint_);
    const double seconds = seconds_since(interval_start_);
    const auto steps = static_cast<double>(step() - interval_step_);
    const double images_per_second = steps * static_cast<double>(config_.train.batch_size) / std::max(seconds, 1e-9);
    const double left = static_cast<double>(config_.train.epochs * steps_per_epoch_ - step()) * seconds / std::max(steps, 1.0);
    const double wait_share = (wait_so_far - interval_wait_) / std::max(seconds, 1e-9);
    spdlog::info("{}: epoch {}/{} step {}/{}  loss {:.4f}  acc {:.1f}%  lr {:.4g}  {:.1f} images/s  data wait {:.0f}%  ETA {}", job_.name,
                 epoch_ + 1, config_.train.epochs, step(), config_.train.epochs * steps_per_epoch_, means.loss, 100 * means.accuracy, rate,
                 images_per_second, 100 * wait_share, format_duration(left));
    metrics_.write({{"stage", job_.name},
                    {"kind", "train"},
                    {"epoch", epoch_},
                    {"step", step()},
                    {"loss", means.loss},
                    {"accuracy", means.accuracy},
                    {"lr", rate},
                    {"images_per_second", images_per_second},
                    {"data_wait", wait_share}});
    seconds_ += seconds;
    interval_start_ = Clock::now();
    interval_step_ = step();
    interval_wait_ = wait_so_far;
  }

  void end_epoch(TrainOutcome& outcome) {
    const bool last = epoch_ == config_.train.epochs;
    const std::int64_t every = config_.train.checkpoint_every;
    if (last || every == 0 || step() % every == 0) save();
    const bool due = config_.train.eval_every_epochs > 0 && epoch_ % config_.train.eval_every_epochs == 0;
    if (last || due) {
      trainer_.average_statistics();
      const auto reports = verify(epoch_);
      if (last) outcome.reports = reports;
    }
  }

  std::vector<eval::SetReport> verify(std::int64_t epochs_done) {
    const std::string what = fmt::format("{} after {} epoch{}", job_.name, epochs_done, epochs_done == 1 ? "" : "s");
    auto reports = verify_sets(what, sets_, trainer_.backbone(), config_, runtime_);
    for (const auto& report : reports) {
      metrics_.write({{"stage", job_.name},
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

  void save() {
    trainer_.average_statistics();
    const CheckpointInfo info{step(),
                              epoch_,
                              batch_,
                              seconds_,
                              config_.model.backbone,
                              config_.model.embedding_dim,
                              job_.dataset->num_classes(),
                              config_.model.loss,
                              config_.model.scale,
                              config_.model.margin,
                              settings_};
    checkpoint_ = save_checkpoint(checkpoint_folder(), info, trainer_.state(), config_.train.keep_checkpoints, runtime_);
    checkpoint_step_ = step();
  }

  const TrainJob& job_;
  const Config& config_;
  const std::vector<data::VerificationSet>& sets_;
  Metrics& metrics_;
  Runtime& runtime_;
  std::int64_t steps_per_epoch_;
  Trainer trainer_;
  model::LrSchedule schedule_;
  std::string settings_;
  std::int64_t epoch_ = 0;
  std::int64_t batch_ = 0;  ///< of this epoch, done
  double seconds_ = 0;
  std::string checkpoint_;
  std::int64_t checkpoint_step_ = -1;
  Clock::time_point interval_start_;  ///< since the last log line
  std::int64_t interval_step_ = 0;
  double interval_wait_ = 0;
};

}  // namespace

std::vector<eval::SetReport> verify_sets(const std::string& what, const std::vector<data::VerificationSet>& sets, model::Backbone& backbone,
                                         const Config& config, Runtime& runtime) {
  const eval::EmbedderOptions options{config.eval.batch_per_rank, static_cast<int>(config.data.image_size),
                                      static_cast<int>(std::max<std::int64_t>(1, config.data.decode_threads)),
                                      static_cast<int>(config.eval.folds)};
  std::vector<eval::SetReport> reports;
  for (const auto& set : sets) {
    reports.push_back(eval::verify_set(set, backbone, runtime.tensors(), options));
    const auto& r = reports.back();
    spdlog::info("{}: {} ({} pairs)  accuracy {:.2f}% +- {:.2f}  AUC {:.4f}  EER {:.2f}%", what, r.name, r.pairs,
                 100 * r.verification.accuracy_mean, 100 * r.verification.accuracy_std, r.auc, 100 * r.eer);
  }
  return reports;
}

TrainOutcome train(const TrainJob& job, const Config& config, const std::vector<data::VerificationSet>& sets, Metrics& metrics,
                   Runtime& runtime) {
  TORCH_CHECK(config.train.batch_size >= 2 * runtime.world_size(), "train.batch_size is ", config.train.batch_size, " for ",
              runtime.world_size(), " ranks: BatchNorm needs at least 2 samples a rank");
  spdlog::info("{}: {} images, {} identities, {} with {} on {} classes, global batch {}", job.name, job.dataset->size(),
               job.dataset->num_classes(), config.model.backbone, config.model.loss, job.dataset->num_classes(), config.train.batch_size);
  return Training(job, config, sets, metrics, runtime).run();
}

}  // namespace diffprob::launch

#include "launch/train/training_loop.h"

#include <spdlog/spdlog.h>

#include "launch/evaluate/verification_file.h"
#include "launch/evaluate/verify.h"
#include "launch/train/optimizers.h"
#include "launch/train/training_dynamics.h"

namespace diffprob::launch {
namespace {

constexpr std::int64_t kWarmUpSteps = 3;  // before a trace

}  // namespace

TrainingLoop::TrainingLoop(const TrainJob& job, const Config& config,
                           std::vector<eval::ResidentSet>& sets, Metrics& metrics, Runtime& runtime)
    : job_(job),
      config_(config),
      sets_(sets),
      runtime_(runtime),
      data_(config, job.dataset, job.seed, runtime),
      train_step_(config, job.dataset->num_classes(), job.seed, runtime),
      schedule_(make_schedule(config.train, data_.steps_per_epoch())),
      recorder_(make_recorder(job, config, runtime)),
      checkpoints_(job, config, train_step_, recorder_ ? &*recorder_ : nullptr, runtime),
      log_(job, config, data_, train_step_, metrics, runtime),
      stop_(config.train.max_time, runtime.control()),
      progress_{config.train.epochs, data_.steps_per_epoch()} {
  if (recorder_) train_step_.record_into(recorder_->steps());
  if (config.train.epoch_pruning.rule != prune::EpochPruningOptions::Rule::kNone)
    pruning_.emplace(config, job.dataset, job.seed, runtime);
  checkpoints_.resume(progress_);
  const std::int64_t step = progress_.step();
  log_.open(step);
  if (config_.train.trace_order) order_.emplace(job_.folder, runtime_.rank(), step);
  trace_.emplace(
      ProfileOptions{fmt::format("{}/trace.rank{:05d}.json", job_.folder, runtime_.rank()),
                     step + kWarmUpSteps, config_.train.profile_steps},
      runtime_.device());
}

TrainResult TrainingLoop::run() {
  TrainResult outcome;
  if (job_.verify_untrained && progress_.step() == 0) outcome.untrained = verify();
  if (progress_.step() > 0 && !config_.train.best_set.empty()) verify_resumed(outcome);
  while (progress_.epoch < progress_.epochs) {
    begin_epoch();
    train_epoch();
    next_epoch();
    end_epoch(outcome);
  }
  if (!checkpoints_.is_saved(progress_.step())) save();
  checkpoints_.finish();
  if (outcome.reports.empty()) outcome.reports = verify();
  if (runtime_.is_root())
    write_verification(job_.folder + "/verification.json", outcome.untrained, outcome.reports);
  outcome.checkpoint = checkpoints_.newest();
  // Last, because samples that no epoch had are recorded with the network as it is verified.
  if (recorder_ && config_.train.record != RecordDynamics::kNo)
    outcome.dynamics =
        write_dynamics(*recorder_, train_step_, job_, config_, outcome.checkpoint, runtime_);
  outcome.steps = progress_.step();
  outcome.seconds = progress_.seconds;
  return outcome;
}

void TrainingLoop::begin_epoch() {
  if (!pruning_) return;
  const auto whole = data_.whole_epoch(progress_.epoch);
  progress_.set_batches(
      data_.keep(pruning_->begin_epoch(progress_.epoch, *whole, recorder_->dynamics())));
}

void TrainingLoop::train_epoch() {
  const auto loader = data_.loader(progress_.epoch, progress_.batch);
  data::Batch batch;
  log_.begin_interval(progress_.step(), 0);
  while (true) {
    train_step_.timer().enter(StepPhase::kDataWait);
    if (!loader->next(batch)) break;
    const double learning_rate = schedule_.at_step(progress_.place());
    trace_->before_step(progress_.step());
    if (order_) order_->write(progress_.step(), batch.indices);
    if (pruning_) batch.weights = pruning_->weights_of(batch.indices);
    train_step_.step(batch, progress_.step(), learning_rate);
    ++progress_.batch;
    const std::int64_t step = progress_.step();
    const bool last = progress_.at_end_of_epoch();
    if (step % config_.train.log_every == 0 || last) {
      log(learning_rate, loader->wait_seconds());
    } else if (log_.must_check_skipped(step)) {
      log_.check_skipped(progress_, checkpoints_.newest());
    }
    if (!last) within_epoch();  // else end_epoch() decides
    if (stop_.agreed()) stop(loader->wait_seconds());
  }
  train_step_.timer().drop();
  for (const auto& what : loader->replaced())
    spdlog::warn("{}: unreadable image replaced: {}", job_.name, what);
}

void TrainingLoop::within_epoch() {
  const std::int64_t step = progress_.step();
  const std::int64_t every = config_.train.checkpoint_every;
  const bool must_save = every > 0 && step % every == 0;
  if (must_save) save();
  if (!is_verified_step()) return;
  if (must_save) checkpoints_.finish();  // on disk before the verification, which may fail
  if (checkpoints_.note_best(verify(), step)) save();
}

void TrainingLoop::end_epoch(TrainResult& outcome) {
  const std::int64_t every = config_.train.checkpoint_every;
  if (progress_.epoch == progress_.epochs || every == 0 || progress_.step() % every == 0) {
    save();
    checkpoints_.finish();  // on disk before the verification, which may fail
  }
  verify_epoch(outcome);
}

void TrainingLoop::verify_epoch(TrainResult& outcome) {
  const bool last = progress_.epoch == progress_.epochs;
  const std::int64_t every = config_.train.eval_every_epochs;
  const bool is_due = last || is_verified_step() || (every > 0 && progress_.epoch % every == 0);
  if (!is_due) return;
  const auto reports = verify();
  if (last) outcome.reports = reports;
  if (checkpoints_.note_best(reports, progress_.step())) save();
}

void TrainingLoop::verify_resumed(TrainResult& outcome) {
  if (progress_.batch == 0)
    verify_epoch(outcome);
  else if (is_verified_step() && checkpoints_.note_best(verify(), progress_.step()))
    save();
}

bool TrainingLoop::is_verified_step() const {
  const std::int64_t every = config_.train.eval_every_steps;
  return every > 0 && progress_.step() % every == 0 && !sets_.empty();
}

void TrainingLoop::next_epoch() {
  if (recorder_) recorder_->end_epoch();
  progress_.next_epoch();
}

void TrainingLoop::stop(double data_wait) {
  const std::int64_t step = progress_.step();
  if (log_.is_behind(step)) log(schedule_.at_step(progress_.place() - 1), data_wait);
  if (!checkpoints_.is_saved(step)) {
    if (progress_.at_end_of_epoch()) next_epoch();
    save();
  }
  checkpoints_.finish();
  throw Stopped(fmt::format("{}: stopped by {} after step {} of {}; {} is written", job_.name,
                            stop_.reason(), step, progress_.all_steps(), checkpoints_.newest()));
}

void TrainingLoop::log(double learning_rate, double data_wait) {
  if (recorder_) recorder_->collect();
  log_.write_steps(progress_, learning_rate, data_wait, checkpoints_.newest());
}

void TrainingLoop::save() {
  checkpoints_.save(progress_, progress_.seconds + log_.seconds_since_line(progress_.step()));
}

std::vector<eval::SetReport> TrainingLoop::verify() {
  const auto pause = log_.pause();
  const std::int64_t epochs = progress_.epoch;
  const std::string when = progress_.batch == 0
                               ? fmt::format("{} epoch{}", epochs, epochs == 1 ? "" : "s")
                               : fmt::format("step {}/{}", progress_.step(), progress_.all_steps());
  const TrainStep::ForEvaluation network(train_step_);
  auto reports =
      verify_sets(job_.name + " after " + when, sets_, train_step_.backbone(), config_, runtime_);
  log_.write_verification(progress_, reports);
  return reports;
}

}  // namespace diffprob::launch

#include "launch/train/training_dynamics.h"

#include <spdlog/spdlog.h>

#include "launch/score/score.h"

namespace diffprob::launch {

std::optional<DynamicsRecorder> make_recorder(const TrainJob& job, const Config& config,
                                              Runtime& runtime) {
  if (config.train.record == RecordDynamics::kNo &&
      config.train.epoch_pruning.rule == prune::EpochPruningOptions::Rule::kNone)
    return std::nullopt;
  using Visits = DynamicsRecorder::Visits;
  const Visits visits = config.data.sampling.kind == data::Sampling::kUniform ? Visits::kOnceAnEpoch
                                                                              : Visits::kAnyNumber;
  return std::optional<DynamicsRecorder>(std::in_place, job.dataset->size(),
                                         config.train.batch_size, visits,
                                         config.train.record == RecordDynamics::kHistory, runtime);
}

std::string write_dynamics(DynamicsRecorder& recorder, TrainStep& train_step, const TrainJob& job,
                           const Config& config, const std::string& checkpoint, Runtime& runtime) {
  if (recorder.epochs() == 0) {
    spdlog::warn("{}: no epoch was recorded, so there is no dynamics.h5", job.name);
    return "";
  }
  const auto never_visited = recorder.never_visited();
  if (!never_visited.empty()) {
    spdlog::info("{}: {} samples were in no epoch: recorded with the trained network", job.name,
                 never_visited.size());
    const TrainStep::ForEvaluation network(train_step);
    recorder.add_never_visited(record_samples(job.dataset, never_visited, train_step.backbone(),
                                              train_step.head(), config, runtime));
  }
  const std::string path = job.folder + "/dynamics.h5";
  const auto& margin = train_step.head().margin().options();
  recorder.write(path,
                 {job.dataset->fingerprint(), checkpoint_fingerprint(checkpoint), margin.margin,
                  margin.scale, training_settings(config), job.dataset->num_classes()},
                 *job.dataset);
  spdlog::info("{}: training dynamics of {} samples: {}", job.name, job.dataset->size(), path);
  return path;
}

}  // namespace diffprob::launch

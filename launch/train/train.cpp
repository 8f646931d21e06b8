#include "launch/train/train.h"

#include <filesystem>

#include <spdlog/spdlog.h>

#include "launch/inputs/labels.h"
#include "launch/train/training_loop.h"

namespace diffprob::launch {
namespace {

/// Keys that came after runs that must still resume and that weights do not depend on. The text is
/// compared as a whole, so that a line more would make every earlier run look different.
constexpr const char* kNewerKeys[] = {"train.deterministic"};

std::string without_newer_keys(std::string settings) {
  for (const std::string key : kNewerKeys) {
    const auto begin = settings.find("\n" + key + "=");
    if (begin != std::string::npos) settings.erase(begin, settings.find('\n', begin + 1) - begin);
  }
  return settings;
}

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
  const std::string settings =
      dump_sections(relevant, {"model", "train", "augment", "data.flip", "data.image_size",
                               "data.on_corrupt", "data.sampling", "data.sampling_power"});
  const std::string labels =
      config.data.labels == Labels::kAsIs ? "" : dump_sections(relevant, {"data.labels"});
  return without_newer_keys(settings) + labels;
}

TrainResult train(const TrainJob& job, const Config& config, std::vector<eval::ResidentSet>& sets,
                  Metrics& metrics, Runtime& runtime) {
  const std::int64_t smallest = 2 * runtime.world_size() * config.train.accumulate;
  TORCH_CHECK(config.train.batch_size >= smallest || config.model.sync_batch_norm,
              "train.batch_size is ", config.train.batch_size, " for ", runtime.world_size(),
              " ranks and train.accumulate=", config.train.accumulate,
              ": BatchNorm needs at least 2 samples per rank and micro-batch, so at least ",
              smallest);
  check_identities(*job.dataset, job.name);
  std::filesystem::create_directories(job.folder);
  spdlog::info("{}: {} images, {} identities, {} with {} on {} classes, global batch {}", job.name,
               job.dataset->size(), job.dataset->num_classes(), config.model.network.name,
               model::margin_name(config.model.head.margin.kind), job.dataset->num_classes(),
               config.train.batch_size);
  return TrainingLoop(job, config, sets, metrics, runtime).run();
}

}  // namespace diffprob::launch

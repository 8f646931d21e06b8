#include "launch/train/train.h"

#include <filesystem>

#include <spdlog/spdlog.h>

#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/network.h"
#include "launch/evaluate/verification_file.h"
#include "launch/evaluate/verify.h"
#include "launch/inputs/labels.h"
#include "launch/train/train_step.h"
#include "launch/train/training_loop.h"

namespace diffprob::launch {
namespace {

/// Keys that came after runs that must still resume. The text is compared as a whole, so that a
/// line more would make every earlier run look different: keys that weights depend on are added
/// behind it when they are not the default.
constexpr const char* kNewerKeys[] = {
    "train.deterministic", "model.head_group",    "model.embedding_dtype", "train.eval_every_steps",
    "model.head",          "train.warmup_shape",  "train.warmup_power",    "model.drop_path",
    "model.mask_ratio",    "model.channel_order", "train.prune",           "train.prune_ratio",
    "train.prune_until"};

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
  relevant.model.head_group = ModelConfig().head_group;
  train.trace_order = defaults.trace_order;
  train.profile_steps = defaults.profile_steps;
  train.tensorboard = defaults.tensorboard;
  train.log_every = defaults.log_every;
  train.checkpoint_every = defaults.checkpoint_every;
  train.keep_checkpoints = defaults.keep_checkpoints;
  train.keep_every_epochs = defaults.keep_every_epochs;
  train.best_set = defaults.best_set;
  train.eval_every_epochs = defaults.eval_every_epochs;
  train.eval_every_steps = defaults.eval_every_steps;
  relevant.model.checkpoint.clear();
  const std::string settings =
      dump_sections(relevant, {"model", "train", "augment", "data.flip", "data.image_size",
                               "data.on_corrupt", "data.sampling", "data.sampling_power"});
  std::string newer;
  if (config.data.labels != Labels::kAsIs) newer += dump_sections(relevant, {"data.labels"});
  if (config.model.head.embedding_wire != at::kFloat)
    newer += dump_sections(relevant, {"model.embedding_dtype"});
  if (!config.model.head_files.empty()) newer += dump_sections(relevant, {"model.head"});
  if (train.schedule.warmup_shape != defaults.schedule.warmup_shape)
    newer += dump_sections(relevant, {"train.warmup_shape"});
  if (train.schedule.warmup_power != defaults.schedule.warmup_power)
    newer += dump_sections(relevant, {"train.warmup_power"});
  if (model::is_vision_transformer(config.model.network.name))
    newer += dump_sections(relevant, {"model.drop_path", "model.mask_ratio"});
  if (train.epoch_pruning.rule != prune::EpochPruningOptions::Rule::kNone)
    newer += dump_sections(relevant, {"train.prune", "train.prune_ratio", "train.prune_until"});
  if (config.model.channel_order != model::ChannelOrder::kRgb && !train.init.empty())
    newer += dump_sections(relevant, {"model.channel_order"});
  return without_newer_keys(settings) + newer;
}

std::vector<std::string> batch_problems(const Config& config, std::int64_t images, int ranks) {
  std::vector<std::string> problems;
  const std::int64_t batch = config.train.batch_size;
  const std::int64_t parts = config.train.accumulate;
  if (images < batch) {
    problems.push_back(fmt::format(
        "train.batch_size: one global batch is {}, but the training set has {} images; lower "
        "train.batch_size, or for a kept part raise prune.keep_ratio (the original training and "
        "its scores stay valid then, whereas another train.batch_size trains all networks again)",
        batch, images));
  }
  if (parts > 1 && batch % (parts * ranks) != 0) {
    problems.push_back(fmt::format(
        "train.accumulate: train.batch_size is {}, expected a multiple of train.accumulate * ranks "
        "= {} * {}",
        batch, parts, ranks));
  }
  if (batch < 2 * ranks * parts && !config.model.sync_batch_norm) {
    problems.push_back(fmt::format(
        "train.batch_size: is {} for {} ranks and train.accumulate={}: BatchNorm needs at least 2 "
        "samples per rank and micro-batch, so at least {}",
        batch, ranks, parts, 2 * ranks * parts));
  }
  return problems;
}

TrainResult train(const TrainJob& job, const Config& config, std::vector<eval::ResidentSet>& sets,
                  Metrics& metrics, Runtime& runtime) {
  const auto problems = batch_problems(config, job.dataset->size(), runtime.world_size());
  if (!problems.empty()) throw ConfigError(problems);
  check_identities(*job.dataset, job.name);
  std::filesystem::create_directories(job.folder);
  spdlog::info("{}: {} images, {} identities, {} with {} on {} classes, global batch {}", job.name,
               job.dataset->size(), job.dataset->num_classes(), config.model.network.name,
               model::margin_name(config.model.head.margin.kind), job.dataset->num_classes(),
               config.train.batch_size);
  return TrainingLoop(job, config, sets, metrics, runtime).run();
}

TrainResult verify_again(const TrainJob& job, TrainResult trained, const Config& config,
                         std::vector<eval::ResidentSet>& sets, Runtime& runtime) {
  if (job.verify_untrained) {
    TrainStep untrained(config, job.dataset->num_classes(), job.seed, runtime);
    if (!config.train.init.empty())
      (void)untrained.start_from(config.train.init, shape_of_weight_file(config.model));
    const TrainStep::ForEvaluation network(untrained);
    trained.untrained =
        verify_sets(job.name + " untrained", sets, untrained.backbone(), config, runtime);
  }
  const LoadedNetwork network = load_network(trained.checkpoint, {}, runtime.device());
  trained.reports =
      verify_sets(job.name + " " + network.origin, sets, *network.backbone, config, runtime);
  if (runtime.is_root())
    write_verification(job.folder + "/verification.json", trained.untrained, trained.reports);
  return trained;
}

}  // namespace diffprob::launch

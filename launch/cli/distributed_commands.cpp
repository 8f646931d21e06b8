#include "launch/cli/distributed_commands.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "launch/cli/commands.h"
#include "launch/inputs/open_data.h"
#include "launch/inputs/synthetic.h"
#include "launch/job/output_folder.h"
#include "launch/pipeline/pipeline.h"
#include "launch/pipeline/pruning.h"
#include "launch/pipeline/sweep.h"
#include "launch/score/score.h"
#include "launch/train/train.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {

void need(const std::string& value, const std::string& key) {
  if (value.empty()) throw ConfigError({key + ": this command needs it"});
}

/// For commands that look at a training set but do not read its images.
Config without_staging(Config config) {
  config.data.stage_dir.clear();
  return config;
}

void dry_run(const CommandLine& line, const Config& config, Runtime& runtime) {
  if (line.command == "run") check_pipeline(config);
  if (line.command == "sweep") check_sweep(config);
  if (!is_synthetic(config)) (void)open_training_set(without_staging(config), runtime);
  (void)open_verification_sets(config, KeepDecoded::kNo);
  if (line.command == "sweep" && runtime.is_root()) fmt::print("{}\n", sweep_plan(config));
  spdlog::info("dry run: configuration and files are valid; nothing was written");
}

}  // namespace

void train_command(const Config& config, Runtime& runtime) {
  const FolderLock lock = make_output_folder(config, runtime);
  Metrics metrics = open_metrics(config, runtime);
  auto sets = open_verification_sets(config, KeepDecoded::kYes);
  const TrainResult outcome = train({"train", config.output, open_training_set(config, runtime),
                                     static_cast<std::uint64_t>(config.seed), false},
                                    config, sets, metrics, runtime);
  spdlog::info("trained {} steps; the network is {}", outcome.steps, outcome.checkpoint);
}

void score_command(const Config& config, Runtime& runtime) {
  need(config.model.checkpoint, "model.checkpoint");
  const FolderLock lock = make_output_folder(config, runtime);
  LoadedModel model = load_model(config.model.checkpoint, runtime);
  const auto dataset = open_training_set(config, runtime);
  const std::string path = config.output + "/scores.h5";
  score(dataset, model, config, path, runtime);
  spdlog::info("scores of {} samples: {}", dataset->size(), path);
}

void prune_command(const Config& config, Runtime& runtime) {
  if (config.prune.dynamics.empty())
    need(config.prune.scores, "prune.scores (or prune.dynamics, for methods that read it)");
  const FolderLock lock = make_output_folder(config, runtime);
  prune::PruneFiles files{config.prune.scores, config.prune.dynamics, ""};
  if (!is_synthetic(config))
    files.dataset_fingerprint = open_training_set(without_staging(config), runtime)->fingerprint();
  const prune::PruneResult result =
      prune::prune(files, prune_options(config), runtime.control(), prune_work());
  prune::write_pruning(config.output, result, runtime.control());
  for (const std::string& warning : pruning_warnings(result))
    if (runtime.is_root()) spdlog::warn("{}", warning);
  spdlog::info(
      "{} keeps {} of {} samples ({:.2f} %) and {} of {} identities; {} removed by cleaning, {} "
      "redundant, {} identities kept at the floor; threshold {:.6g}; {}/kept_index.txt",
      prune::full_name(result.options), result.kept, result.num_samples,
      100.0 * static_cast<double>(result.kept) / static_cast<double>(result.num_samples),
      result.identities_after, result.identities_before, result.mislabelled, result.redundant,
      result.identities_at_floor, result.threshold(), config.output);
}

void run_distributed_command(const CommandLine& line, const Config& config,
                             dist::MpiEnvironment& mpi) {
  Runtime runtime(mpi, config);
  if (std::find(line.flags.begin(), line.flags.end(), "dry-run") != line.flags.end())
    return dry_run(line, config, runtime);
  std::get<RanksFunction>(find_command(line.command)->run)(config, runtime);
}

}  // namespace diffprob::launch

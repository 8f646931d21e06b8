#include "launch/cli/distributed_commands.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "launch/checkpoint/list.h"
#include "launch/cli/check_inputs.h"
#include "launch/cli/commands.h"
#include "launch/cli/input_checks.h"
#include "launch/config/without_effect.h"
#include "launch/inputs/kept_list.h"
#include "launch/inputs/open_data.h"
#include "launch/inputs/set_paths.h"
#include "launch/inputs/synthetic.h"
#include "launch/job/output_folder.h"
#include "launch/pipeline/pipeline.h"
#include "launch/pipeline/proposals.h"
#include "launch/pipeline/pruning.h"
#include "launch/pipeline/sweep.h"
#include "launch/plan/needs_text.h"
#include "launch/score/given_model.h"
#include "launch/score/score.h"
#include "launch/score/score_folder.h"
#include "launch/train/train.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {

/// For commands that look at a training set but do not read its images.
Config without_staging(Config config) {
  config.data.stage_dir.clear();
  return config;
}

/// fp16 is emulated on CPUs: nobody wants that for a whole training.
void warn_about_fp16_on_cpu(const std::string& command, const Config& config) {
  for (const auto& [key, is_fp16] :
       {std::pair("train.precision", config.train.precision == Precision::kFp16),
        {"score.precision", config.score.network.type == at::kHalf},
        {"eval.precision", config.eval.embedder.network.type == at::kHalf}}) {
    if (is_fp16 && reads_key(command, key))
      spdlog::warn(
          "{} is fp16 and the device is a CPU, which computes fp16 many times slower than fp32: "
          "use fp32, or a GPU",
          key);
  }
}

/// What a training needs, also where its data set is not there yet.
void print_needs(const CommandLine& line, const Config& config, const DataSize& data, int ranks) {
  if (line.dry_ranks > 0) ranks = line.dry_ranks;
  const Needs needs = needs_of(config, network_memory(config.model.network), data, ranks);
  fmt::print("{}\n", needs_text(line.command, config, needs, data, ranks));
  std::fflush(stdout);
}

/// With the paths of verification sets that were given by name, as rank 0 finds them. Collective.
Config with_set_paths(Config config, Runtime& runtime) {
  constexpr char kMark = '\x1e';  // in no path
  std::string text;
  for (const std::string& path : runtime.is_root() ? set_paths(config) : config.eval.sets)
    text += path + kMark;
  std::istringstream paths(runtime.control().broadcast(text, 0));
  config.eval.sets.clear();
  for (std::string path; std::getline(paths, path, kMark);) config.eval.sets.push_back(path);
  return config;
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
  const FolderLock lock = make_output_folder(config, runtime);
  if (scores_folder(config))
    return score_checkpoints(open_training_set(config, runtime), config, runtime);
  const auto dataset = open_training_set(config, runtime);
  LoadedModel model = load_scored_model(config, dataset->num_classes(), runtime);
  const std::string path = config.output + "/scores.h5";
  score(dataset, model, config, path, runtime);
  spdlog::info("scores of {} samples: {}", dataset->size(), path);
}

void prune_command(const Config& config, Runtime& runtime) {
  const FolderLock lock = make_output_folder(config, runtime);
  prune::PruneFiles files{config.prune.scores, config.prune.dynamics, ""};
  std::optional<prune::WholeNumbers> whole;
  prune::DescribeSample describe;
  std::shared_ptr<const data::Dataset> dataset;
  if (!is_synthetic(config)) {
    dataset = open_training_set(without_staging(config), runtime);
    files.dataset_fingerprint = dataset->fingerprint();
    files.labels = {dataset->size(), dataset->num_classes(), dataset->fingerprint(),
                    [dataset](std::int64_t sample) { return dataset->label(sample); }};
    whole = whole_numbers(*dataset);
    describe = [dataset](std::int64_t sample) { return dataset->describe(sample); };
  }
  const prune::PruneResult result =
      prune::prune(files, prune_options(config), runtime.control(), prune_work());
  prune::write_pruning(config.output, result, runtime.control(), whole, describe);
  if (config.prune.proposals && config.prune.options.clean)
    write_label_proposals(config.output, result, {config.prune.scores, config.score.embeddings},
                          dataset, runtime);
  for (const std::string& warning : pruning_warnings(result))
    if (runtime.is_root()) spdlog::warn("{}", warning);
  if (result.noise)
    spdlog::info("{}", prune::verdict(*result.noise, result.mislabelled, result.num_samples));
  spdlog::info(
      "{} keeps {} of {} samples ({:.2f} %) and {} of {} identities; {} removed by cleaning, {} "
      "redundant, {} identities kept at the floor; threshold {:.6g}; {}/kept_index.txt",
      prune::full_name(result.options), result.kept, result.num_samples,
      100.0 * static_cast<double>(result.kept) / static_cast<double>(result.num_samples),
      result.identities_after, result.identities_before, result.mislabelled, result.redundant,
      result.identities_at_floor, result.threshold(), config.output);
}

void run_distributed_command(const CommandLine& line, const Config& given,
                             dist::MpiEnvironment& mpi) {
  Runtime runtime(mpi, given);
  const Config config = with_set_paths(given, runtime);
  if (runtime.is_root()) {
    for (const std::string& key : without_effect(line.command, config)) spdlog::warn("{}", key);
    if (runtime.device().is_cpu()) warn_about_fp16_on_cpu(line.command, config);
  }
  const bool dry_run =
      std::find(line.flags.begin(), line.flags.end(), "dry-run") != line.flags.end();
  const CheckedInputs checked = check_inputs(line.command, config, dry_run, runtime);
  if (dry_run && runtime.is_root() && trains(line.command))
    print_needs(line, config, checked.data, runtime.world_size());
  if (!checked.problems.empty()) throw ConfigError(checked.problems);
  if (dry_run) {
    if (line.command == "sweep" && runtime.is_root()) fmt::print("{}\n", sweep_plan(config));
    spdlog::info("dry run: configuration and files are valid; nothing was written");
    return;
  }
  std::get<RanksFunction>(find_command(line.command)->run)(config, runtime);
}

}  // namespace diffprob::launch

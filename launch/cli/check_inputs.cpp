#include "launch/cli/check_inputs.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <tuple>

#include "dist/mpi/agreement.h"
#include "launch/cli/input_checks.h"
#include "launch/duplicates/commands.h"
#include "launch/duplicates/overlap.h"
#include "launch/evaluate/eval_command.h"
#include "launch/inputs/image_sizes.h"
#include "launch/inputs/labels.h"
#include "launch/inputs/synthetic.h"
#include "launch/job/try_folder.h"
#include "launch/pipeline/pipeline.h"
#include "launch/pipeline/sweep.h"
#include "launch/score/given_model.h"
#include "launch/train/head_groups.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {
namespace fs = std::filesystem;

using Dataset = std::shared_ptr<const data::Dataset>;

std::string fingerprint_of(const Dataset& dataset) {
  return dataset ? dataset->fingerprint() : "";
}

void check_ratios(const std::string& command, const Config& config, const data::Dataset* dataset,
                  Problems& problems) {
  if (command == "sweep") {
    for (const double ratio : config.sweep.ratios)
      check_kept_size(config, dataset, ratio, "sweep.ratios", problems);
    return;
  }
  const PruneConfig& p = config.prune;
  const bool by_threshold = p.options.method == prune::Method::kDiffProb && p.threshold > 0;
  if (!by_threshold && prune::has_keep_ratio(p.options.method))
    check_kept_size(config, dataset, p.keep_ratio, "prune.keep_ratio", problems);
}

/// What run and sweep need beyond a training.
void check_stages(const std::string& command, const Config& config, const Dataset& dataset,
                  Problems& problems) {
  attempt(command, problems,
          [&] { command == "run" ? check_pipeline(config) : check_sweep(config); });
  if (command == "run" && starts_from_given(config)) check_given(config, dataset.get(), problems);
  if (dataset || is_synthetic(config))
    attempt(command, problems, [&] { check_ratios(command, config, dataset.get(), problems); });
  check_cleaning(config, problems);
  check_dynamics_file(config, fingerprint_of(dataset), problems);
}

/// The training set of a command that reads one, on rank 0; the others open it for the command.
Dataset open_set(const std::string& command, const Config& config, bool is_root,
                 Problems& problems) {
  const bool compares = command.starts_with("data ");
  const bool makes_faces = is_synthetic(config) && command != "train" && command != "score" &&
                           command != "embed" && !compares;
  if (command == "eval" || makes_faces || !is_root) return nullptr;
  return check_training_set(config, problems);
}

/// Of the set that is there, else of the one that is expected.
DataSize size_of(const Config& config, const Dataset& dataset) {
  if (dataset) return {dataset->size(), dataset->num_classes()};
  const auto& faces = config.synthetic;
  if (is_synthetic(config)) return {faces.identities * faces.images_per_identity, faces.identities};
  return {config.data.expected_images, config.data.expected_identities};
}

void warn_about_expected(const Config& config, const data::Dataset& dataset) {
  const auto& d = config.data;
  if (!d.kept.empty()) return;
  for (const auto& [key, what, expected, found] :
       {std::tuple("data.expected_images", "images", d.expected_images, dataset.size()),
        {"data.expected_identities", "identities", d.expected_identities, dataset.num_classes()}}) {
    if (expected > 0 && expected != found)
      spdlog::warn("{}: {} {} are expected, but data.train has {}: is it the set that is meant?",
                   key, expected, what, found);
  }
}

/// The people of a .bin are not known.
void refuse_verification_sets(const Config& config, Problems& problems) {
  for (const std::string& path : config.data.train)
    if (fs::path(path).extension() == ".bin")
      problems.push_back(fmt::format(
          "data.train: {} is a verification set, in which each image counts as an identity of its "
          "own: expected a training set (eval.sets takes verification sets)",
          path));
}

void warn_about_sizes(const Config& config, const data::Dataset& dataset) {
  const std::string resized =
      resized_warning(dataset, config.data.loader.image_size,
                      fmt::format("{}", fmt::join(config.data.train, ", ")));
  if (!resized.empty()) spdlog::warn("{}", resized);
}

/// What one process can see.
void check_files(const std::string& command, const Config& config, const Dataset& dataset,
                 int ranks, Problems& problems) {
  if (command == "eval") {
    attempt(command, problems, [&] { check_eval(config); });
    check_ijb(config, problems);
    check_features(config, problems);
    return check_network(config, problems);
  }
  if (dataset && command != "prune") warn_about_expected(config, *dataset);
  if (dataset && command != "prune")
    attempt("data.train", problems, [&] { warn_about_sizes(config, *dataset); });
  if (trains(command) || command == "score") refuse_verification_sets(config, problems);
  if (trains(command)) {
    const std::int64_t unknown = config.train.batch_size;  // a size with which nothing is wrong
    attempt("train", problems,
            [&] { check_training(config, dataset ? dataset->size() : unknown, ranks, problems); });
    check_best_set(config, problems);
    if (dataset) attempt("data.train", problems, [&] { check_identities(*dataset, "train"); });
  }
  if (command == "run") check_ijb(config, problems);
  if (command == "train") check_initial_head(config, dataset.get(), problems);
  if (command == "run" || command == "sweep") check_stages(command, config, dataset, problems);
  if (command == "score") check_scoring(config, dataset.get(), problems);
  if (command == "embed") check_one_network(config, problems);
  if (command == "data leaks" || command == "data dedup")
    attempt(command, problems, [&] { check_duplicate_inputs(command, config); });
  if (command == "data overlap")
    attempt("neighbours.other", problems, [&] { check_overlap_inputs(config); });
  if (command == "prune") check_prune_files(config, fingerprint_of(dataset), problems);
}

/// Inputs that every rank opens, with their keys.
std::vector<std::pair<std::string, std::string>> shared_inputs(const std::string& command,
                                                               const Config& config) {
  std::vector<std::pair<std::string, std::string>> inputs;
  const auto add = [&](const std::string& key, const std::string& path) {
    if (!path.empty()) inputs.emplace_back(key, path);
  };
  const bool compares = command.starts_with("data ");
  const bool opens_data = command != "eval" && !is_synthetic(config);
  for (const auto& path : opens_data ? config.data.train : std::vector<std::string>())
    add("data.train", path);
  add("data.kept", opens_data ? config.data.kept : "");
  if (trains(command)) add("train.init", config.train.init);
  if (trains(command) || command == "eval" || command == "data leaks")
    for (const auto& path : config.eval.sets) add("eval.sets", path);
  const bool given = command == "run" && starts_from_given(config);
  if (command == "score" || command == "eval" || command == "embed" || given)
    add("model.checkpoint", config.model.checkpoint);
  if (command == "score" || command == "train" || given)
    for (const auto& path : config.model.head_files) add("model.head", path);
  if (command == "score") add("score.embeddings", config.score.embeddings);
  if (command == "prune") add("prune.scores", config.prune.scores);
  if (compares) add("neighbours.embeddings", config.neighbours.embeddings);
  if (command == "data overlap" || command == "data leaks")
    for (const auto& path : config.neighbours.other_embeddings)
      add("neighbours.other_embeddings", path);
  for (const auto& path :
       command == "data overlap" ? config.neighbours.other : std::vector<std::string>())
    add("neighbours.other", path);
  if (command != "eval" && command != "score" && !compares)
    add("prune.dynamics", config.prune.dynamics);
  if (command == "eval" || command == "run" || command == "data leaks")
    for (const auto& path : config.eval.ijb) add("eval.ijb", path);
  return inputs;
}

/// What rank 0 has and this rank has not; rank 0 itself looks closer.
void check_seen(const std::string& command, const Config& config, Runtime& runtime,
                Problems& problems) {
  const auto inputs = shared_inputs(command, config);
  std::string seen(inputs.size(), '0');
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    std::error_code error;
    if (fs::exists(inputs[i].second, error)) seen[i] = '1';
  }
  const std::string of_root = dist::gather_texts(runtime.control(), seen)[0];
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (of_root[i] == '1' && seen[i] == '0')
      problems.push_back(fmt::format("{}: {} is there on rank 0, but not on rank {} on {}",
                                     inputs[i].first, inputs[i].second, runtime.rank(),
                                     runtime.mpi().host_name()));
  }
}

/// Those of all ranks, each once. Collective. The mark between problems is in no message.
Problems of_all_ranks(const Problems& own, Runtime& runtime) {
  constexpr char kMark = '\x1e';
  std::string text;
  for (const auto& problem : own) text += problem + kMark;
  Problems all;
  for (const auto& of_rank : dist::gather_texts(runtime.control(), text)) {
    std::istringstream lines(of_rank);
    for (std::string line; std::getline(lines, line, kMark);) {
      if (std::find(all.begin(), all.end(), line) == all.end()) all.push_back(line);
    }
  }
  return all;
}

}  // namespace

CheckedInputs check_inputs(const std::string& command, const Config& config, bool dry_run,
                           Runtime& runtime) {
  Problems problems;
  runtime.control().set_phase(dist::Phase::kStartup);
  Dataset dataset;
  dist::in_rounds(runtime.control(), [&] {  // a large set takes minutes
    dataset = open_set(command, config, runtime.is_root(), problems);
  });
  if (runtime.is_root()) check_files(command, config, dataset, runtime.world_size(), problems);
  if (trains(command) || command == "eval")
    check_verification_sets(config, runtime.rank(), runtime.world_size(), problems);
  const bool tries_alone = dry_run && runtime.world_size() == 1;  // before a job of many ranks
  if (trains(command) && !tries_alone)
    attempt("model.head_group", problems, [&] { (void)head_group_size(config, 1, runtime); });
  check_seen(command, config, runtime, problems);
  for (const auto& problem : try_folder("output", config.output, dry_run, runtime))
    problems.push_back(problem);
  if (!config.data.stage_dir.empty() && command != "eval" && command != "prune")
    for (const auto& problem : try_node_folder("data.stage_dir", config.data.stage_dir))
      problems.push_back(problem);
  CheckedInputs checked{of_all_ranks(problems, runtime), size_of(config, dataset)};
  runtime.control().set_phase(dist::Phase::kStep);
  return checked;
}

}  // namespace diffprob::launch

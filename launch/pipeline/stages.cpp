#include "launch/pipeline/stages.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "data/files/sha256.h"
#include "dist/mpi/agreement.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/evaluate/results.h"
#include "launch/evaluate/verification_file.h"
#include "launch/evaluate/verify.h"
#include "launch/inputs/kept_list.h"
#include "launch/inputs/open_data.h"
#include "launch/inputs/synthetic.h"
#include "launch/job/output_folder.h"
#include "launch/observe/json_member.h"
#include "launch/pipeline/folds.h"
#include "launch/pipeline/proposals.h"
#include "launch/pipeline/pruning.h"
#include "launch/score/given_model.h"
#include "launch/score/score.h"
#include "launch/train/train.h"
#include "prune/error.h"
#include "prune/methods/methods.h"
#include "prune/summary.h"
#include "prune/tables/dynamics.h"

namespace diffprob::launch {
namespace fs = std::filesystem;

PipelineStages::PipelineStages(const Config& config, Runtime& runtime,
                               const std::string& metrics_file)
    : config_(config), runtime_(runtime), metrics_(open_metrics(config, runtime, metrics_file)) {}

namespace {

/// Inputs whose digested text is one key=value per line.
StageInputs inputs_of(const std::string& lines) {
  return {lines, lines};
}

/// What a finished training stage came to, without its reports.
TrainResult stage_result(const Stage& stage, const nlohmann::json& json) {
  TrainResult result;
  result.checkpoint = stage.path(json.at("checkpoint").get<std::string>());
  const std::string dynamics = json.value("dynamics", "");
  if (!dynamics.empty()) result.dynamics = stage.path(dynamics);
  result.steps = json_member<std::int64_t>(json, "steps");
  result.seconds = json_member<double>(json, "seconds");
  return result;
}

}  // namespace

Stage PipelineStages::open_stage(const std::string& name, StageInputs inputs) {
  if (!advice_.empty() && !Stage::is_done(config_.output, name, inputs.digested, runtime_)) {
    throw ConfigError({config_.output + "/" + name +
                       " has not been completed with this configuration: " + advice_});
  }
  return {config_.output, name, std::move(inputs), runtime_};
}

void PipelineStages::open_data() {
  if (is_synthetic(config_)) {
    Stage stage = open_stage("data", inputs_of(dump_sections(config_, {"synthetic", "seed"})));
    if (!stage.done()) {
      runtime_.control().set_phase(dist::Phase::kStartup);  // rank 0 may take minutes
      if (runtime_.is_root())
        data::write_synthetic_faces(stage.folder(), synthetic_options(config_));
      runtime_.control().barrier("synthetic data");
      runtime_.control().set_phase(dist::Phase::kStep);
      stage.complete({{"kind", "synthetic"}}, {"train.rec", "train.idx", "property", "planted.csv",
                                               "synthetic_verification.bin"});
    }
    config_.data.train = {stage.folder()};
    config_.eval.sets.push_back(stage.path("synthetic_verification.bin"));
    planted_ = stage.path("planted.csv");
  }
  dataset_ = open_training_set(config_, runtime_);
  sets_ = open_verification_sets(config_, KeepDecoded::kYes);
  for (const auto& path : config_.eval.sets) sets_digest_ += digest_of(path) + "\n";
}

const std::string& PipelineStages::digest_of(const std::string& file) {
  const auto [digest, is_new] = digests_.try_emplace(file);
  if (!is_new) return digest->second;
  auto& control = runtime_.control();
  control.set_phase(dist::Phase::kStartup);  // a score table of gigabytes takes longer than a step
  std::string text;
  dist::together<std::runtime_error>(control, [&] {
    if (runtime_.is_root()) text = data::sha256_file(file);
  });
  digest->second = control.broadcast(text, 0);
  control.set_phase(dist::Phase::kStep);
  return digest->second;
}

TrainedStage PipelineStages::train_on(TrainJob job, RecordDynamics record) {
  Config config = config_;
  config.train.record = record;
  config.model.head_files.clear();  // the trainings of a run start with a new head
  const std::string inputs =
      training_settings(config) +
      dump_sections(config, {"train.eval_every_epochs", "eval.folds", "eval.precision"}) +
      job.dataset->fingerprint() + sets_digest_ + std::to_string(job.seed);
  StageInputs all{
      inputs, training_settings(config) + dump_sections(config, {"eval.folds", "eval.precision"}) +
                  "dataset=" + job.dataset->fingerprint() + "\nseed=" + std::to_string(job.seed) +
                  "\nverification_sets=" + data::sha256_hex(sets_digest_) + "\n"};
  all.may_differ = config.train.allow_changes;
  all.evaluation = {"eval", "verification_sets"};
  Stage stage = open_stage(job.name, std::move(all));
  if (!stage.done()) {
    job.folder = stage.folder();
    const auto& before = stage.before_evaluation();
    const TrainResult trained =
        before.is_null() ? train(job, config, sets_, metrics_, runtime_)
                         : verify_again(job, stage_result(stage, before), config, sets_, runtime_);
    const std::string relative = fs::relative(trained.checkpoint, stage.folder());
    std::vector<std::string> files = {relative + "/manifest.json", relative + "/backbone.pth"};
    std::string dynamics;
    if (!trained.dynamics.empty()) {
      dynamics = fs::relative(trained.dynamics, stage.folder());
      files.push_back(dynamics);
    }
    stage.complete({{"checkpoint", relative},
                    {"dynamics", dynamics},
                    {"steps", trained.steps},
                    {"seconds", trained.seconds},
                    {"untrained", reports_to_json(trained.untrained)},
                    {"reports", reports_to_json(trained.reports)}},
                   files);
  }
  finished_.push_back({job.name, job.dataset->size(), stage.result()});
  const std::string dynamics = stage.result().value("dynamics", "");
  return {stage.path(stage.result().at("checkpoint")), dynamics.empty() ? "" : stage.path(dynamics),
          stage.result()};
}

TrainedStage PipelineStages::verify_given() {
  given_ = given_model_fingerprint(config_, runtime_);
  const std::string inputs = dump_sections(config_, {"eval.folds", "eval.precision"}) +
                             "network=" + given_ +
                             "\nverification_sets=" + data::sha256_hex(sets_digest_) + "\n";
  Stage stage = open_stage("given_original", inputs_of(inputs));
  if (!stage.done()) {
    const LoadedNetwork network = load_given_network(config_, runtime_);
    const auto reports = verify_sets("given_original " + network.origin, sets_, *network.backbone,
                                     config_, runtime_);
    if (runtime_.is_root()) write_verification(stage.path("verification.json"), {}, reports);
    stage.complete({{"given", given_model_text(config_)},
                    {"steps", 0},
                    {"seconds", 0.0},
                    {"untrained", reports_to_json({})},
                    {"reports", reports_to_json(reports)}},
                   {"verification.json"});
  }
  return {"", "", stage.result()};
}

std::string PipelineStages::score_with(const std::string& checkpoint) {
  return score_in("score", dataset_, checkpoint_fingerprint(checkpoint),
                  [&] { return load_model(checkpoint, runtime_); });
}

std::string PipelineStages::score_given() {
  return score_in("score", dataset_, given_, [&] {
    return load_given_model(config_, dataset_->num_classes(), given_, runtime_);
  });
}

std::string PipelineStages::score_in(const std::string& name,
                                     const std::shared_ptr<const data::Dataset>& dataset,
                                     const std::string& fingerprint,
                                     const std::function<LoadedModel()>& load) {
  std::vector<std::string> keys = {"score.margin", "score.precision", "data.on_corrupt"};
  if (makes_centres(config_)) keys.emplace_back("score.head");
  const std::string inputs = dump_sections(config_, keys) + dataset->fingerprint() + fingerprint;
  Stage stage =
      open_stage(name, {inputs, dump_sections(config_, keys) + "dataset=" + dataset->fingerprint() +
                                    "\nnetwork=" + fingerprint + "\n"});
  const std::string path = stage.path("scores.h5");
  if (!stage.done()) {
    const auto start = std::chrono::steady_clock::now();
    LoadedModel model = load();
    const std::chrono::duration<double> loading = std::chrono::steady_clock::now() - start;
    const ScoringCost cost = score(dataset, model, config_, path, runtime_);
    stage.complete({{"samples", dataset->size()},
                    {"images", cost.images},
                    {"seconds", loading.count() + cost.seconds}},
                   {"scores.h5"});
  }
  finished_.push_back({name, dataset->size(), stage.result()});
  return path;
}

std::string PipelineStages::score_folds() {
  const std::int64_t folds = config_.score.folds;
  const auto dealt = deal_folds(*dataset_, folds, seed(0));
  const auto alone = std::count(dealt.begin(), dealt.end(), kEveryFold);
  if (alone > 0)
    spdlog::info(
        "score.folds: {} identities have one sample, which is scored by a network that was trained "
        "on it",
        alone);
  std::vector<std::string> files;
  std::vector<std::vector<std::int64_t>> scored;
  std::string inputs = "dataset=" + dataset_->fingerprint() + "\n";
  for (std::int64_t fold = 0; fold < folds; ++fold) {
    FoldParts parts = parts_of_fold(dealt, static_cast<std::int32_t>(fold));
    const std::string suffix = "_fold" + std::to_string(fold);
    const auto part = [&](const std::vector<std::int64_t>& samples) {
      return std::make_shared<data::Subset>(dataset_, samples, std::vector<std::int64_t>());
    };
    const TrainedStage trained =
        train_on({"train" + suffix, "", part(parts.trained), seed(0), false}, RecordDynamics::kNo);
    const std::string network = checkpoint_fingerprint(trained.checkpoint);
    files.push_back(score_in("score" + suffix, part(parts.scored), network,
                             [&] { return load_model(trained.checkpoint, runtime_); }));
    scored.push_back(std::move(parts.scored));
    inputs += "scores=" + digest_of(files.back()) + "\n";
  }
  Stage stage = open_stage("score", inputs_of(inputs));
  if (!stage.done()) {
    dist::together<prune::PruneError>(runtime_.control(), [&] {
      if (runtime_.is_root()) merge_fold_scores(*dataset_, files, scored, stage.path("scores.h5"));
    });
    stage.complete({{"samples", dataset_->size()}, {"images", 0}, {"folds", folds}}, {"scores.h5"});
  }
  finished_.push_back({"score", dataset_->size(), stage.result()});
  return stage.path("scores.h5");
}

PrunedStage PipelineStages::prune_by(const std::string& name, const prune::PruneOptions& options,
                                     const std::string& scores, const std::string& dynamics) {
  const prune::PruneFiles files{scores, prune::needs_dynamics(options) ? dynamics : "",
                                dataset_->fingerprint()};
  const std::string inputs = prune::describe(options) + digest_of(scores) +
                             (files.dynamics.empty() ? "" : digest_of(files.dynamics));
  const bool proposes = config_.prune.proposals && options.clean;
  Stage stage = open_stage(
      name, {inputs + (proposes ? "proposals" : ""),
             "options=" + prune::describe(options) + "\nscores=" + digest_of(scores) +
                 "\ndynamics=" + (files.dynamics.empty() ? "" : digest_of(files.dynamics)) +
                 (proposes ? "\nproposals=true\n" : "\n")});
  if (!stage.done()) {
    const prune::PruneResult result =
        prune::prune(files, options, runtime_.control(), prune_work());
    for (const std::string& warning : pruning_warnings(result))
      if (runtime_.is_root()) spdlog::warn("{}: {}", name, warning);
    if (result.noise) {
      spdlog::info("{}: {}", name,
                   prune::verdict(*result.noise, result.mislabelled, result.num_samples));
    }
    prune::write_pruning(stage.folder(), result, runtime_.control(), whole_numbers(*dataset_),
                         [&](std::int64_t sample) { return dataset_->describe(sample); });
    std::vector<std::string> written = {"index_set.h5", "kept_index.txt", "label_map.txt",
                                        "summary.json"};
    if (options.clean) written.emplace_back(prune::kSuspectsFile);
    if (proposes) {
      write_label_proposals(stage.folder(), result, {scores, ""}, dataset_, runtime_);
      written.emplace_back(kProposalsFile);
    }
    stage.complete({{"kept", result.kept},
                    {"mislabelled", result.mislabelled},
                    {"threshold", result.threshold()}},
                   written);
  }
  finished_.push_back({name, dataset_->size(), stage.result()});
  PrunedStage pruned{prune::read_index_set(stage.path("index_set.h5"), dataset_->size()),
                     stage.result().at("mislabelled")};
  const auto& set = pruned.set;
  spdlog::info("{}: {} keeps {} of {} samples ({:.2f} %), {} removed by cleaning, threshold {:.6g}",
               name, set.method, set.kept.size(), set.num_samples,
               100.0 * static_cast<double>(set.kept.size()) / static_cast<double>(set.num_samples),
               pruned.mislabelled, set.threshold);
  return pruned;
}

std::string PipelineStages::score_original(const std::string& checkpoint) {
  return config_.score.folds > 1 ? score_folds() : score_with(checkpoint);
}

void check_folds(const Config& config) {
  if (config.score.folds > 1 && is_given_model(config))
    throw ConfigError(
        {"score.folds trains networks of its own on this data set, so it cannot be combined with "
         "model.checkpoint and class centres for it: leave out one of them"});
  if (config.score.folds > 1 && makes_centres(config))
    throw ConfigError(
        {"score.folds scores with the heads that were trained with its networks: leave it out, or "
         "score.head=centroids"});
}

void check_dynamics(const Config& config, const prune::PruneOptions& options,
                    const std::string& asked_by) {
  if (!prune::needs_dynamics(options) || !config.prune.dynamics.empty()) return;
  if (config.train.record == RecordDynamics::kNo) {
    throw ConfigError({asked_by + " reads training dynamics here: record them "
                                  "(--train.record=true) or name a file (--prune.dynamics=FILE)"});
  }
  if (!prune::needs_full_window(options)) return;
  constexpr std::int64_t kRecorded = prune::DynamicsAccumulator::kWindow;
  const std::int64_t window = options.ranked.window == 0 ? kRecorded : options.ranked.window;
  if (window != kRecorded && config.train.record != RecordDynamics::kHistory) {
    throw ConfigError({"prune.window: is " + std::to_string(window) + ", but without a history " +
                       std::to_string(kRecorded) +
                       " epochs are recorded: set train.record=history, or leave it out"});
  }
  if (config.train.epochs <= window) {
    throw ConfigError({asked_by + " needs more than " + std::to_string(window) +
                       " recorded epochs (its window), but train.epochs is " +
                       std::to_string(config.train.epochs)});
  }
}

}  // namespace diffprob::launch

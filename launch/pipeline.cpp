#include "launch/pipeline.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <filesystem>

#include "data/atomic_file.h"
#include "data/sha256.h"
#include "launch/checkpoint.h"
#include "launch/inputs.h"
#include "launch/json_file.h"
#include "launch/output_folder.h"
#include "launch/planted_report.h"
#include "launch/progress.h"
#include "launch/report.h"
#include "launch/score.h"
#include "launch/stage.h"
#include "launch/summary.h"
#include "launch/train.h"
#include "prune/prune_summary.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

class Pipeline {
 public:
  Pipeline(const Config& config, Runtime& runtime) : config_(config), runtime_(runtime), metrics_(open_metrics(config, runtime)) {}

  void run() {
    const auto start = std::chrono::steady_clock::now();
    make_data();
    dataset_ = open_training_set(config_, runtime_);
    sets_ = open_verification_sets(config_.eval.sets);
    for (const auto& path : config_.eval.sets) sets_digest_ += data::sha256_file(path) + "\n";

    const Trained original = train_one("original", "train_original", dataset_, seed(0), Untrained::kVerify);
    if (config_.prune.dynamics.empty()) config_.prune.dynamics = original.dynamics;
    const std::string scores = score_all(original.checkpoint);
    const prune::IndexSet pruned = prune_one("prune", prune_options(config_), scores);
    for (std::int64_t s = 0; s < config_.run.seeds; ++s) {
      const auto part = kept_part(dataset_, pruned, "prune");
      train_one(pruned.method, "train_pruned_s" + std::to_string(s), part, seed(s), Untrained::kSkip);
    }
    for (std::int64_t s = 0; config_.run.compare_random && s < config_.run.seeds; ++s) {
      const std::string suffix = "_random_s" + std::to_string(s);
      const auto set = prune_one("prune" + suffix, random_like(pruned, s), scores);
      train_one("random", "train" + suffix, kept_part(dataset_, set, "prune" + suffix), seed(s), Untrained::kSkip);
    }
    summarise(pruned, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }

 private:
  enum class Untrained { kVerify, kSkip };
  /// Files of a finished training.
  struct Trained {
    std::string checkpoint;
    std::string dynamics;  ///< "" without train.record
  };

  [[nodiscard]] std::uint64_t seed(std::int64_t index) const { return static_cast<std::uint64_t>(config_.seed + index); }

  void make_data() {
    if (!is_synthetic(config_)) return;
    Stage stage(config_.output, "data", dump_sections(config_, {"synthetic", "seed"}), runtime_);
    if (!stage.done()) {
      if (runtime_.is_root()) data::write_synthetic_faces(stage.folder(), synthetic_options(config_));
      runtime_.control().barrier("synthetic data");
      stage.complete({{"kind", "synthetic"}}, {"train.rec", "train.idx", "property", "planted.csv", "synthetic_verification.bin"});
    }
    config_.data.train = {stage.folder()};
    config_.eval.sets.push_back(stage.path("synthetic_verification.bin"));
    planted_ = stage.path("planted.csv");
  }

  Trained train_one(const std::string& row_name, const std::string& stage_name, const std::shared_ptr<const data::Dataset>& dataset,
                    std::uint64_t train_seed, Untrained untrained) {
    const std::string inputs = training_settings(config_) + dump_sections(config_, {"train.eval_every_epochs", "eval.folds"}) +
                               dataset->fingerprint() + sets_digest_ + std::to_string(train_seed);
    Stage stage(config_.output, stage_name, inputs, runtime_);
    if (!stage.done()) {
      const TrainOutcome outcome =
          train({stage_name, stage.folder(), dataset, train_seed, untrained == Untrained::kVerify}, config_, sets_, metrics_, runtime_);
      const std::string relative = fs::relative(outcome.checkpoint, stage.folder());
      std::vector<std::string> files = {relative + "/manifest.json", relative + "/backbone.pth"};
      std::string dynamics;
      if (!outcome.dynamics.empty()) {
        dynamics = fs::relative(outcome.dynamics, stage.folder());
        files.push_back(dynamics);
      }
      stage.complete({{"checkpoint", relative},
                      {"dynamics", dynamics},
                      {"steps", outcome.steps},
                      {"seconds", outcome.seconds},
                      {"untrained", reports_to_json(outcome.untrained)},
                      {"reports", reports_to_json(outcome.reports)}},
                     files);
    }
    add_rows(row_name, stage.result(), *dataset);
    const std::string dynamics = stage.result().value("dynamics", "");
    return {stage.path(stage.result().at("checkpoint")), dynamics.empty() ? "" : stage.path(dynamics)};
  }

  void add_rows(const std::string& name, const nlohmann::json& result, const data::Dataset& dataset) {
    const auto row_of = [&](const std::string& row_name, const nlohmann::json& reports) {
      SummaryRow row{row_name, dataset.size(), dataset.num_classes(), result.at("seconds"), {}, {}};
      for (const auto& report : reports) {
        row.sets.push_back(report.at("set"));
        row.accuracy.push_back(report.at("accuracy"));
      }
      return row;
    };
    if (!result.at("untrained").empty()) {
      rows_.push_back(row_of("untrained", result.at("untrained")));
      rows_.back().images = rows_.back().identities = 0;
      rows_.back().train_seconds = 0;
    }
    rows_.push_back(row_of(name, result.at("reports")));
  }

  std::string score_all(const std::string& checkpoint) {
    const std::string inputs =
        dump_sections(config_, {"score.margin", "data.on_corrupt"}) + dataset_->fingerprint() + checkpoint_fingerprint(checkpoint);
    Stage stage(config_.output, "score", inputs, runtime_);
    const std::string path = stage.path("scores.h5");
    if (!stage.done()) {
      const auto start = std::chrono::steady_clock::now();
      LoadedModel model = load_model(checkpoint, runtime_);
      score(dataset_, model, config_, path, runtime_);
      stage.complete(
          {{"samples", dataset_->size()}, {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()}},
          {"scores.h5"});
    }
    return path;
  }

  [[nodiscard]] prune::PruneOptions random_like(const prune::IndexSet& pruned, std::int64_t index) const {
    prune::PruneOptions options;
    options.method = "random";
    options.clean = false;
    options.keep_ratio = static_cast<double>(pruned.kept.size()) / static_cast<double>(pruned.num_samples);
    options.random.seed = seed(index);
    options.random.floor = {config_.prune.min_kept, config_.prune.min_kept_share};
    return options;
  }

  prune::IndexSet prune_one(const std::string& name, const prune::PruneOptions& options, const std::string& scores) {
    const prune::PruneFiles files{scores, prune::needs_dynamics(options) ? config_.prune.dynamics : "", dataset_->fingerprint()};
    const std::string inputs =
        prune::describe(options) + data::sha256_file(scores) + (files.dynamics.empty() ? "" : data::sha256_file(files.dynamics));
    Stage stage(config_.output, name, inputs, runtime_);
    if (!stage.done()) {
      const prune::PruneResult result = prune::prune(files, options, runtime_.control(), prune_work());
      prune::write_pruning(stage.folder(), result, runtime_.control());
      stage.complete({{"kept", result.kept}, {"mislabelled", result.mislabelled}, {"threshold", result.threshold()}},
                     {"index_set.h5", "kept_index.txt", "label_map.txt", "summary.json"});
    }
    auto set = prune::read_index_set(stage.path("index_set.h5"), dataset_->size());
    spdlog::info("{}: {} keeps {} of {} samples ({:.2f} %), {} cleaned away, threshold {:.6g}", name, set.method, set.kept.size(),
                 set.num_samples, 100.0 * static_cast<double>(set.kept.size()) / static_cast<double>(set.num_samples),
                 stage.result().at("mislabelled").get<std::int64_t>(), set.threshold);
    return set;
  }

  void summarise(const prune::IndexSet& pruned, double seconds) {
    if (!runtime_.is_root()) return;
    nlohmann::json summary = {{"models", summary_json(rows_)}, {"seconds", seconds}};
    std::string text = "\nResult of " + config_.output + " (this run took " + format_duration(seconds) + ")\n\n" + summary_table(rows_);
    if (!planted_.empty()) {
      summary["planted"] = judge_planted(planted_, pruned);
      text += "\n" + planted_text(summary["planted"]);
    }
    write_json(config_.output + "/summary.json", summary);
    data::write_file_atomically(config_.output + "/summary.txt", text);
    fmt::print("{}\n", text);
    std::fflush(stdout);
    write_run_report(config_.output, dataset_);
  }

  Config config_;
  Runtime& runtime_;
  Metrics metrics_;
  std::shared_ptr<const data::Dataset> dataset_;
  std::vector<data::VerificationSet> sets_;
  std::string sets_digest_;
  std::string planted_;
  std::vector<SummaryRow> rows_;
};

}  // namespace

void check_pipeline(const Config& config) {
  const prune::PruneOptions options = prune_options(config);
  if (prune::needs_dynamics(options) && config.prune.dynamics.empty() && !config.train.record) {
    throw ConfigError({"prune.method=" + options.method +
                       " reads training dynamics here: record them (--train.record=true) or name a file (--prune.dynamics=FILE)"});
  }
}

void run_pipeline(const Config& config, Runtime& runtime) {
  check_pipeline(config);
  make_output_folder(config, runtime);
  Pipeline(config, runtime).run();
}

}  // namespace diffprob::launch

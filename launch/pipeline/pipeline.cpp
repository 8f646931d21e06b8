#include "launch/pipeline/pipeline.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <cmath>

#include "data/files/atomic_file.h"
#include "launch/evaluate/ijb_set.h"
#include "launch/inputs/kept_list.h"
#include "launch/job/output_folder.h"
#include "launch/observe/json_file.h"
#include "launch/observe/progress.h"
#include "launch/pipeline/image_bytes.h"
#include "launch/pipeline/planted_report.h"
#include "launch/pipeline/pruning.h"
#include "launch/pipeline/stages.h"
#include "launch/pipeline/summary.h"
#include "launch/report/report.h"
#include "launch/score/given_model.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {

class Pipeline {
 public:
  Pipeline(const Config& config, Runtime& runtime)
      : config_(config), runtime_(runtime), stages_(config, runtime, "metrics.jsonl") {}

  void run() {
    const auto start = std::chrono::steady_clock::now();
    stages_.open_data();
    const bool given = starts_from_given(config_);
    const TrainedStage original = given ? verify_given()
                                        : train("original", "train_original", stages_.dataset(), 0,
                                                /*verify_untrained=*/true);
    const std::string dynamics =
        config_.prune.dynamics.empty() ? original.dynamics : config_.prune.dynamics;
    const std::string scores = score(given, original.checkpoint);
    const prune::IndexSet pruned =
        stages_.prune_by("prune", prune_options(config_), scores, dynamics).set;
    for (std::int64_t s = 0; s < config_.run.seeds; ++s) {
      const auto part = kept_part(stages_.dataset(), pruned, "prune");
      (void)train(pruned.method, "train_pruned_s" + std::to_string(s), part, s);
    }
    for (std::int64_t s = 0; config_.run.compare_random && s < config_.run.seeds; ++s) {
      const std::string suffix = "_random_s" + std::to_string(s);
      const prune::IndexSet set =
          stages_.prune_by("prune" + suffix, random_like(pruned, s), scores, dynamics).set;
      (void)train("random", "train" + suffix, kept_part(stages_.dataset(), set, "prune" + suffix),
                  s);
    }
    summarise(pruned, cost_inputs(pruned),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }

 private:
  std::string score(bool given, const std::string& checkpoint) {
    return given ? stages_.score_given() : stages_.score_original(checkpoint);
  }

  TrainedStage verify_given() {
    TrainedStage verified = stages_.verify_given();
    add_rows("original", verified.result, *stages_.dataset());
    rows_.back().ijb = stages_.ijb_given("ijb_original");
    return verified;
  }

  TrainedStage train(const std::string& row_name, const std::string& stage_name,
                     const std::shared_ptr<const data::Dataset>& dataset, std::int64_t seed_index,
                     bool verify_untrained = false) {
    TrainedStage trained =
        stages_.train_on({stage_name, "", dataset, stages_.seed(seed_index), verify_untrained},
                         config_.train.record);
    add_rows(row_name, trained.result, *dataset);
    rows_.back().ijb =
        stages_.ijb_with("ijb" + stage_name.substr(stage_name.find('_')), trained.checkpoint);
    return trained;
  }

  void add_rows(const std::string& name, const nlohmann::json& result,
                const data::Dataset& dataset) {
    const auto row_of = [&](const std::string& row_name, const nlohmann::json& reports) {
      SummaryRow row{row_name, dataset.size(), dataset.num_classes(), result.at("seconds"), {}, {}};
      for (const auto& report : reports) {
        row.sets.push_back(report.at("set"));
        row.accuracy.push_back(report.at("accuracy"));
        const auto& norm =
            report.value("xnorm", nlohmann::json());  // not in stages of older programs
        row.xnorm.push_back(norm.is_number() ? norm.get<double>() : std::nan(""));
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

  [[nodiscard]] prune::PruneOptions random_like(const prune::IndexSet& pruned,
                                                std::int64_t index) const {
    prune::PruneOptions options;
    options.method = prune::Method::kRandom;
    options.clean = false;
    options.keep_ratio =
        static_cast<double>(pruned.kept.size()) / static_cast<double>(pruned.num_samples);
    options.match_ratio = true;
    options.random.seed = stages_.seed(index);
    options.random.floor = config_.prune.floor;
    return options;
  }

  /// Collective.
  [[nodiscard]] CostInputs cost_inputs(const prune::IndexSet& pruned) {
    auto& control = runtime_.control();
    control.set_phase(dist::Phase::kStartup);  // heads of millions of records take a while
    const auto bytes = image_bytes(*stages_.dataset(), pruned, control);
    control.set_phase(dist::Phase::kStep);
    return {stages_.finished(),
            config_.train.batch_size,
            config_.train.epochs,
            starts_from_given(config_),
            config_.train.epoch_pruning.rule != prune::EpochPruningOptions::Rule::kNone,
            bytes};
  }

  void summarise(const prune::IndexSet& pruned, const CostInputs& inputs, double seconds) {
    if (!runtime_.is_root()) return;
    nlohmann::json summary = {{"models", summary_json(rows_)}, {"seconds", seconds}};
    std::string text = "\nResult of " + config_.output + " (this run took " +
                       format_duration(seconds) + ")\n\n" + summary_table(rows_) +
                       summary_sentence(rows_);
    if (starts_from_given(config_)) {
      summary["given"] = given_model_text(config_);
      text += "\noriginal: " + given_model_text(config_) + ", given and not trained here\n";
    }
    if (!stages_.planted().empty()) {
      summary["planted"] = judge_planted(stages_.planted(), pruned);
      text += "\n" + planted_text(summary["planted"]);
    }
    const RunCost cost = run_cost(inputs);
    summary["cost"] = cost_json(inputs, cost);
    text += "\n" + cost_text(inputs, cost);
    write_json(config_.output + "/summary.json", summary);
    data::write_file_atomically(config_.output + "/summary.txt", text);
    fmt::print("{}\n", text);
    std::fflush(stdout);
    write_run_report(config_.output, stages_.dataset());
  }

  const Config& config_;
  Runtime& runtime_;
  PipelineStages stages_;
  std::vector<SummaryRow> rows_;
};

}  // namespace

void check_pipeline(const Config& config) {
  const auto problems = ijb_variant_problems(config);
  if (!problems.empty()) throw ConfigError(problems);
  if (starts_from_given(config) && prune::needs_dynamics(prune_options(config)) &&
      config.prune.dynamics.empty())
    throw ConfigError({"prune.method=" + prune::method_name(config.prune.options.method) +
                       " reads training dynamics, and a given network (model.checkpoint) is not "
                       "trained here: name a "
                       "file of dynamics (--prune.dynamics=FILE), or choose another method"});
  check_folds(config);
  check_dynamics(config, prune_options(config),
                 "prune.method=" + prune::method_name(config.prune.options.method));
}

void run_pipeline(const Config& config, Runtime& runtime) {
  check_pipeline(config);
  const FolderLock lock = make_output_folder(config, runtime);
  Pipeline(config, runtime).run();
}

}  // namespace diffprob::launch

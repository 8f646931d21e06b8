#include "launch/pipeline/sweep.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>

#include "data/files/atomic_file.h"
#include "launch/inputs/kept_list.h"
#include "launch/inputs/synthetic.h"
#include "launch/job/output_folder.h"
#include "launch/pipeline/comparison_table.h"
#include "launch/pipeline/pruning.h"
#include "launch/pipeline/stages.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {
namespace {

constexpr std::int64_t kAllCells = -1;

class Sweep {
 public:
  Sweep(const Config& config, Runtime& runtime)
      : config_(config),
        runtime_(runtime),
        // Cells may be jobs at the same time, and a file of metrics has one writer.
        stages_(config, runtime,
                config.sweep.cell > 0
                    ? "metrics.cell" + std::to_string(config.sweep.cell) + ".jsonl"
                    : "metrics.jsonl") {}

  void run() {
    const std::int64_t only = config_.sweep.cell;
    if (only > 0) {
      stages_.require_done("sweep.cell=" + std::to_string(only) +
                           " needs it; run `diffprob sweep CONFIG --sweep.cell=0` first");
    }
    first_stages();
    stages_.require_done("");
    const auto cells = sweep_cells(config_);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const auto number = static_cast<std::int64_t>(i) + 1;
      if (only != kAllCells && only != number) continue;
      spdlog::info("cell {} of {}: {} at {}", number, cells.size(), cells[i].name(),
                   cells[i].ratio);
      run_cell(cells[i]);
    }
    if (only == kAllCells)
      report();
    else
      spdlog::info(
          "sweep.cell={} is done; `diffprob sweep CONFIG` makes the table when all cells are",
          only);
  }

 private:
  void first_stages() {
    stages_.open_data();
    ComparisonCell original{"original", 1, {}};
    // A job of one cell needs the first of these alone.
    const std::int64_t trainings = config_.sweep.cell > 0 ? 1 : config_.run.seeds;
    for (std::int64_t s = 0; s < trainings; ++s) {
      const std::string name = s == 0 ? "train_original" : "train_original_s" + std::to_string(s);
      const TrainedStage trained = stages_.train_on(
          {name, "", stages_.dataset(), stages_.seed(s), /*verify_untrained=*/s == 0},
          s == 0 ? config_.train.record : RecordDynamics::kNo);
      original.runs.push_back(run_of(trained, *stages_.dataset(), s, 0));
      if (s > 0) continue;
      scores_ = stages_.score_original(trained.checkpoint);
      dynamics_ = config_.prune.dynamics.empty() ? trained.dynamics : config_.prune.dynamics;
    }
    cells_.push_back(std::move(original));
  }

  void run_cell(const SweepCell& cell) {
    ComparisonCell done{cell.name(), cell.ratio, {}};
    std::optional<PrunedStage> pruned;
    for (std::int64_t s = 0; s < config_.run.seeds; ++s) {
      const auto options = sweep_options(config_, cell, s);
      const std::string suffix = "_s" + std::to_string(s);
      const bool drawn = prune::is_drawn(options.method);
      const std::string prune_stage = cell.folder + "/prune" + (drawn ? suffix : "");
      if (!pruned || drawn) pruned = stages_.prune_by(prune_stage, options, scores_, dynamics_);
      const auto part = kept_part(stages_.dataset(), pruned->set, prune_stage);
      const TrainedStage trained = stages_.train_on(
          {cell.folder + "/train" + suffix, "", part, stages_.seed(s)}, RecordDynamics::kNo);
      done.runs.push_back(run_of(trained, *part, s, pruned->mislabelled));
    }
    cells_.push_back(std::move(done));
  }

  [[nodiscard]] CellRun run_of(const TrainedStage& trained, const data::Dataset& dataset,
                               std::int64_t seed_index, std::int64_t mislabelled) const {
    CellRun run{stages_.seed(seed_index),     dataset.size(),
                dataset.num_classes(),        mislabelled,
                trained.result.at("seconds"), {}};
    for (const auto& report : trained.result.at("reports"))
      run.accuracy.push_back(report.at("accuracy"));
    return run;
  }

  void report() const {
    if (!runtime_.is_root()) return;
    std::vector<std::string> sets;
    for (const auto& set : stages_.sets()) sets.push_back(set.set().name);
    const auto rows = compare(cells_);
    const std::string text = comparison_text(rows, sets);
    data::write_file_atomically(config_.output + "/sweep.txt", text);
    data::write_file_atomically(config_.output + "/sweep.json",
                                comparison_json(rows, sets).dump(2) + "\n");
    data::write_file_atomically(config_.output + "/sweep.csv", comparison_csv(rows, sets));
    fmt::print("\n{}\n", text);
    std::fflush(stdout);
  }

  const Config& config_;
  Runtime& runtime_;
  PipelineStages stages_;
  std::string scores_;
  std::string dynamics_;
  std::vector<ComparisonCell> cells_;  ///< done, the original first
};

}  // namespace

std::string SweepCell::name() const {
  return prune::full_name(method);
}

std::vector<SweepCell> sweep_cells(const Config& config) {
  std::vector<prune::FullMethod> methods = config.sweep.methods;
  const prune::FullMethod random{prune::Method::kRandom, false};
  if (std::find(methods.begin(), methods.end(), random) == methods.end()) methods.push_back(random);
  std::vector<SweepCell> cells;
  for (const double ratio : config.sweep.ratios) {
    for (const prune::FullMethod& method : methods)
      cells.push_back(
          {method, ratio, fmt::format("sweep/{}_r{}", prune::full_name(method), ratio)});
  }
  return cells;
}

prune::PruneOptions sweep_options(const Config& config, const SweepCell& cell,
                                  std::int64_t seed_index) {
  Config of_cell = config;
  of_cell.prune.options.method = cell.method.method;
  of_cell.prune.options.clean = cell.method.clean;
  of_cell.prune.keep_ratio = cell.ratio;
  of_cell.prune.threshold = 0;
  of_cell.seed += seed_index;
  prune::PruneOptions options = prune_options(of_cell);
  options.match_ratio = of_cell.prune.preset != prune::Preset::kReference;
  options.random.draw = prune::RandomOptions::Draw::kRandom;
  return options;
}

void check_sweep(const Config& config) {
  check_folds(config);
  if (!config.model.head_files.empty())
    throw ConfigError(
        {"model.head: a sweep trains its original networks itself, one for each seed; use "
         "`diffprob run` with a given network"});
  const auto cells = sweep_cells(config);
  for (const auto& cell : cells)
    check_dynamics(config, sweep_options(config, cell, 0), "sweep.methods: " + cell.name());
  if (config.sweep.cell > static_cast<std::int64_t>(cells.size())) {
    throw ConfigError({"sweep.cell: expected 0 to " + std::to_string(cells.size()) + ", got " +
                       std::to_string(config.sweep.cell)});
  }
  if (config.eval.sets.empty() && !is_synthetic(config)) {
    throw ConfigError(
        {"eval.sets: a sweep compares verification accuracies; give at least one .bin"});
  }
}

std::string sweep_plan(const Config& config) {
  const auto cells = sweep_cells(config);
  const std::int64_t seeds = config.run.seeds;
  const std::int64_t folds = config.score.folds > 1 ? config.score.folds : 0;
  std::string text = fmt::format(
      "\n  cell 0: {} training{} on all images, {}scores\n", seeds, seeds == 1 ? "" : "s",
      folds > 0 ? fmt::format("{} on all but a fold, ", folds) : std::string());
  std::int64_t sets = 0;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::int64_t drawn =
        prune::is_drawn(sweep_options(config, cells[i], 0).method) ? seeds : 1;
    sets += drawn;
    text += fmt::format("  cell {}: {} at {}: {} index set{}, {} training{}, in {}\n", i + 1,
                        cells[i].name(), cells[i].ratio, drawn, drawn == 1 ? "" : "s", seeds,
                        seeds == 1 ? "" : "s", cells[i].folder);
  }
  return text +
         fmt::format("  {} trainings and {} index sets in total; those already in {} are skipped\n",
                     seeds * static_cast<std::int64_t>(cells.size() + 1) + folds, sets,
                     config.output);
}

void run_sweep(const Config& config, Runtime& runtime) {
  check_sweep(config);
  const FolderLock lock = make_output_folder(config, runtime);
  FolderLock cell;
  if (config.sweep.cell > 0) {
    const std::string folder =
        sweep_cells(config)[static_cast<std::size_t>(config.sweep.cell - 1)].folder;
    cell = lock_folder(config.output + "/" + folder, FolderLock::Mode::kAlone, runtime);
  }
  Sweep(config, runtime).run();
}

}  // namespace diffprob::launch

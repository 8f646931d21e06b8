#include "launch/report/run.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string_view>

#include "data/files/input_file.h"
#include "data/sets/concatenated_dataset.h"
#include "launch/inputs/labels.h"
#include "launch/inputs/open_with_progress.h"
#include "launch/inputs/synthetic.h"
#include "launch/report/json.h"
#include "launch/score/given_model.h"
#include "prune/lists/index_set.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kMostConfigBytes = 1 << 18;
constexpr std::int64_t kMostJsonBytes = std::int64_t{1}
                                        << 30;  // a pruning of millions of identities lists them

std::string read_text(const std::string& path, std::int64_t limit) {
  std::vector<std::byte> bytes;
  data::read_whole_file(path, limit, bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr std::size_t kPairsOfAKind = 24;

class Reading {
 public:
  Reading(const std::string& path, std::shared_ptr<const data::Dataset> dataset) {
    run_.path = path;
    run_.name = fs::path(path).lexically_normal().filename().string();
    if (run_.name.empty())
      run_.name = fs::path(path).lexically_normal().parent_path().filename().string();
    if (run_.name.empty() || run_.name == "." || run_.name == "..")
      run_.name = fs::weakly_canonical(path).filename().string();
    run_.dataset = std::move(dataset);
  }

  ReportRun run() {
    read_config();
    read_root_summary();
    run_.sweep = json_of(in("sweep.json"));
    read_stages();
    note_earlier_trainings();
    read_metrics_file();
    read_scores();
    read_proposals();
    read_pairs();
    open_dataset();
    const bool empty = run_.config_text.empty() && run_.trainings.empty() &&
                       run_.prunings.empty() && run_.scores.empty() && run_.sweep.is_null();
    if (empty)
      throw std::runtime_error(run_.path +
                               ": not the output of a diffprob run: it holds no config.yaml, "
                               "training, scores or index set");
    return std::move(run_);
  }

 private:
  [[nodiscard]] std::string in(const std::string& name) const { return run_.path + "/" + name; }
  [[nodiscard]] static bool is_file(const std::string& path) {
    std::error_code error;
    return fs::is_regular_file(path, error);
  }

  /// Runs `read`; what goes wrong becomes a note.
  void noted(const std::function<void()>& read) {
    try {
      read();
    } catch (const std::exception& error) {
      const std::string_view what = error.what();
      run_.notes.emplace_back(what.substr(0, what.find("\nException raised from ")));
    }
  }

  [[nodiscard]] nlohmann::json json_of(const std::string& path) {
    nlohmann::json json;
    if (is_file(path)) {
      noted([&] {
        json = nlohmann::json::parse(read_text(path, kMostJsonBytes), nullptr,
                                     /*allow_exceptions=*/false);
        if (json.is_object()) return;
        json = nullptr;
        throw std::runtime_error(path + ": not a JSON object");
      });
    }
    return json;
  }

  void read_config() {
    const std::string path = in("config.yaml");
    if (!is_file(path)) {
      run_.notes.push_back(path + " is missing: no configuration and no data set");
      return;
    }
    noted([&] { run_.config_text = read_text(path, kMostConfigBytes); });
    noted([&] { run_.config = parse_config(path, run_.config_text, {}); });
  }

  /// summary.json is that of the pipeline, or of a pruning alone.
  void read_root_summary() {
    nlohmann::json json = json_of(in("summary.json"));
    if (value_at(json, "models").is_array()) {
      run_.summary = std::move(json);
    } else if (is_file(in("index_set.h5")) && json.is_object()) {
      run_.prunings.push_back({"prune", run_.path, std::move(json)});
    }
  }

  void read_stages() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(run_.path)) {
      const std::string name = entry.path().filename().string();
      std::error_code error;
      const bool stale = name.find(".stale-") != std::string::npos;
      if (entry.is_directory(error) && !stale) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    const auto belongs = [](const std::string& name, const std::string& kind) {
      return name == kind || name.starts_with(kind + "_");
    };
    for (const auto& name : names) {
      if (belongs(name, "prune")) add_pruning(name);
    }
    const bool given = run_.config && starts_from_given(*run_.config);
    const std::string original = given ? "given_original" : "train_original";
    if (std::find(names.begin(), names.end(), original) != names.end())
      add_training(original, in(original));
    for (const auto& name : names) {
      if (belongs(name, "train") && name != "train_original") add_training(name, in(name));
    }
    if (std::find(names.begin(), names.end(), "checkpoints") != names.end())
      add_training("train", run_.path);
    add_evaluation();
    for (const std::string& path : {in("score/scores.h5"), in("scores.h5")}) {
      if (run_.scores.empty() && is_file(path)) run_.scores = path;
    }
    // A pruning alone names the scores that it read.
    if (run_.scores.empty() && run_.config && is_file(run_.config->prune.scores))
      run_.scores = run_.config->prune.scores;
    run_.scoring = value_at(json_of(in("score/stage.json")), "result");
  }

  void add_pruning(const std::string& name) {
    const std::string folder = in(name);
    if (!is_file(folder + "/index_set.h5")) {
      run_.notes.push_back(folder + ": not finished, skipped");
      return;
    }
    run_.prunings.push_back({name, folder, json_of(folder + "/summary.json")});
  }

  /// "original", the method of the pruning for "pruned", else what stands between "train_" and "_s"
  /// and the seed.
  [[nodiscard]] std::string model_of(const std::string& stage) const {
    if (stage == "given_original") return "original";
    std::string name = stage.starts_with("train_") ? stage.substr(6) : "trained";
    const auto seed = name.rfind("_s");
    const bool numbered = seed != std::string::npos && seed + 2 < name.size() &&
                          name.find_first_not_of("0123456789", seed + 2) == std::string::npos;
    if (numbered) name.resize(seed);
    if (name != "pruned") return name;
    for (const auto& pruning : run_.prunings) {
      if (pruning.stage == "prune") return text_at(pruning.summary, "method", name);
    }
    return name;
  }

  void add_training(const std::string& stage, const std::string& folder) {
    ReportTraining training{stage,
                            model_of(stage),
                            value_at(json_of(folder + "/stage.json"), "result"),
                            std::nullopt,
                            {}};
    const std::string file = folder + "/verification.json";
    if (is_file(file)) noted([&] { training.verification = read_verification(file); });
    read_ijb(training);
    run_.trainings.push_back(std::move(training));
  }

  /// The evaluation of train_NAME or given_NAME is in ijb_NAME; one of an earlier start is not
  /// shown when the last one asked for none.
  void read_ijb(ReportTraining& training) {
    const auto underscore = training.stage.find('_');
    if (underscore == std::string::npos || !run_.config || run_.config->eval.ijb.empty()) return;
    const std::string path = in("ijb" + training.stage.substr(underscore) + "/ijb.json");
    if (is_file(path))
      read_ijb_file(path, training);
    else
      run_.notes.push_back(path + " is missing: not evaluated on IJB yet");
  }

  /// What `diffprob eval` leaves of one network stands beside the trainings.
  void add_evaluation() {
    const std::string curves = in("eval_curves.json"), ijb = in("ijb.json");
    if (!is_file(curves) && !is_file(ijb)) return;
    ReportTraining evaluation{kEvaluationStage, "evaluated", nullptr, std::nullopt, {}};
    if (is_file(curves)) noted([&] { evaluation.verification = read_verification(curves); });
    if (is_file(ijb)) read_ijb_file(ijb, evaluation);
    run_.trainings.push_back(std::move(evaluation));
  }

  void read_ijb_file(const std::string& path, ReportTraining& training) {
    noted([&] {
      training.ijb = nlohmann::json::parse(read_text(path, kMostJsonBytes), nullptr,
                                           /*allow_exceptions=*/false);
      if (training.ijb.is_array()) return;
      training.ijb = nullptr;
      throw std::runtime_error(path + ": not a JSON list");
    });
  }

  /// A training that the last summary does not name was made by an earlier start with other
  /// settings.
  void note_earlier_trainings() {
    const auto& models = value_at(run_.summary, "models");
    if (!models.is_array()) return;
    for (const auto& training : run_.trainings) {
      if (training.stage == kEvaluationStage) continue;
      const auto named = [&](const auto& row) { return text_at(row, "model") == training.model; };
      if (std::any_of(models.begin(), models.end(), named)) continue;
      run_.notes.push_back(
          training.stage +
          " was not part of the last start of this run and may have used other settings");
    }
  }

  void read_metrics_file() {
    const std::string path = in("metrics.jsonl");
    if (!is_file(path)) {
      if (std::any_of(run_.trainings.begin(), run_.trainings.end(),
                      [](const auto& training) { return training.stage != kEvaluationStage; }))
        run_.notes.push_back(path + " is missing: no curves");
      return;
    }
    noted([&] {
      MetricsFile file = read_metrics(path);
      for (auto& training : run_.trainings)
        training.metrics = std::move(file.stages[training.stage]);
      if (file.bad_lines > 0)
        run_.notes.push_back(path + ": " + std::to_string(file.bad_lines) +
                             " lines that are not metrics were skipped");
    });
  }

  void read_proposals() {
    if (run_.prunings.empty()) return;
    const std::string path = run_.prunings.front().folder + "/proposals.csv";
    if (is_file(path)) noted([&] { run_.proposals = prune::read_proposals(path); });
  }

  void read_pairs() {
    for (const char* name : {"/duplicates.csv", "/leaks.csv"}) {
      const std::string path = run_.path + name;
      if (!is_file(path)) continue;
      run_.found_copies = true;
      noted([&] { run_.copies.merge(read_copies(path, kPairsOfAKind)); });
    }
  }

  void read_scores() {
    if (run_.scores.empty() || run_.prunings.empty()) return;
    noted([&] {
      prune::ScoredSamples samples(run_.scores, run_.prunings.front().folder + "/index_set.h5");
      ScoreOverview overview = overview_of(samples);
      run_.scored.emplace(std::move(samples), std::move(overview));
    });
  }

  void open_dataset() {
    if (run_.dataset || !run_.config || (!run_.scored && run_.copies.empty())) return;
    noted([&] {
      const auto& config = *run_.config;
      const auto whole = is_synthetic(config)
                             ? open_with_progress({in("data")})
                             : open_with_progress(config.data.train, config.data.root);
      run_.dataset = trained_part(config, whole);
    });
    if (!run_.dataset)
      run_.notes.emplace_back(
          "without the data set there are no face sheets (run the report in the folder where the "
          "run was started)");
  }

  ReportRun run_;
};

}  // namespace

ReportRun read_report_run(const std::string& path, std::shared_ptr<const data::Dataset> dataset) {
  std::error_code error;
  if (!fs::is_directory(path, error))
    throw std::runtime_error(path + ": not the output folder of a run");
  return Reading(path, std::move(dataset)).run();
}

}  // namespace diffprob::launch

#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "launch/config/config.h"
#include "launch/evaluate/verification_file.h"
#include "launch/report/copies.h"
#include "launch/report/metrics.h"
#include "launch/report/scores.h"
#include "prune/proposals/proposal_file.h"

namespace diffprob::launch {

/// Stage of what `diffprob eval` has found of a network, which is no training.
inline constexpr const char* kEvaluationStage = "eval";

/// A training in a run: a stage of the pipeline, or the folder of `diffprob train`; or an
/// evaluation alone.
struct ReportTraining {
  std::string stage;  ///< "train_original": its name in metrics.jsonl
  std::string model;  ///< row of the tables: "original", "clean+diffprob", "random"; trainings that
                      ///< share it differ in their seed
  nlohmann::json result;  ///< what stage.json says; null while the training is not finished
  std::optional<VerificationFile> verification;
  TrainingMetrics metrics;
  nlohmann::json ijb{};  ///< ijb.json of its evaluation on IJB, a list; null when there is none
};
struct ReportPruning {
  std::string stage;       ///< "prune"
  std::string folder;      ///< holds index_set.h5
  nlohmann::json summary;  ///< its summary.json
};

/// Scores of all samples and what the run's own pruning made of them.
struct ReportScores {
  prune::ScoredSamples samples;
  ScoreOverview overview;
};

/// What a report reads of the output folder of a run, train, score or prune. Whatever is missing or
/// broken is left out, and why is in the notes.
struct ReportRun {
  std::string path;
  std::string name;  ///< last part of the path
  std::string config_text;
  std::optional<Config> config;
  nlohmann::json summary;  ///< of the pipeline; null while it is not finished
  nlohmann::json sweep;    ///< sweep.json; null where there is none
  nlohmann::json scoring;  ///< what score/stage.json says
  std::vector<ReportTraining> trainings;
  std::vector<ReportPruning> prunings;         ///< the run's own first
  std::string scores;                          ///< score file, or ""
  std::vector<prune::ProposalLine> proposals;  ///< of the first pruning
  bool found_copies = false;                   ///< by data dedup or data leaks
  std::map<std::string, CopyPairs> copies;     ///< by kind
  std::optional<ReportScores> scored;
  std::shared_ptr<const data::Dataset> dataset;  ///< the training set, or null
  std::vector<std::string> notes;
};

/// `dataset`: the training set when the caller has it open; else the configured one is opened.
/// Throws std::runtime_error when `path` is no folder or holds nothing of a run.
[[nodiscard]] ReportRun read_report_run(const std::string& path,
                                        std::shared_ptr<const data::Dataset> dataset = nullptr);

}  // namespace diffprob::launch

#include "launch/score/score_folder.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "dist/mpi/agreement.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/list.h"
#include "launch/score/given_model.h"
#include "launch/score/score.h"
#include "prune/error.h"
#include "prune/tables/source_attributes.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

std::string score_file(const std::string& folder, const std::string& checkpoint) {
  return folder + "/" + fs::path(checkpoint).filename().string() + ".h5";
}

/// Throws when the folder holds a score file of none of the checkpoints.
void refuse_others(const std::string& folder, const std::vector<std::string>& checkpoints) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    const bool known = std::any_of(
        checkpoints.begin(), checkpoints.end(),
        [&](const std::string& checkpoint) { return score_file(folder, checkpoint) == path; });
    if (entry.path().extension() == ".h5" && !known)
      throw prune::PruneError(path +
                              ": belongs to no checkpoint of the folder, and a mean of the "
                              "scores would count it; move it away");
  }
}

/// Returns true if the file holds the scores of this network, data set and configuration.
bool is_done(const std::string& path, const std::string& checkpoint, const data::Dataset& dataset,
             const Config& config) {
  if (!fs::exists(path)) return false;
  try {
    const prune::ScoreSource source = prune::read_source(prune::HdfReader(path), path);
    return source.model_fingerprint == checkpoint_fingerprint(checkpoint) &&
           source.dataset_fingerprint == dataset.fingerprint() &&
           source.margin == config.score.margin && source.config == score_settings(config);
  } catch (const prune::PruneError& error) {
    spdlog::warn("{}; it is scored again", error.what());
    return false;
  }
}

}  // namespace

bool scores_folder(const Config& config) {
  const bool needs_head = !config.model.head_files.empty() && !makes_centres(config);
  return !needs_head && config.score.embeddings.empty() &&
         holds_checkpoints(config.model.checkpoint);
}

void score_checkpoints(const std::shared_ptr<const data::Dataset>& dataset, const Config& config,
                       Runtime& runtime) {
  const std::string folder = config.output + "/scores";
  std::string found;
  dist::together<prune::PruneError>(runtime.control(), [&] {
    if (!runtime.is_root()) return;
    const auto checkpoints = list_checkpoints(config.model.checkpoint);
    fs::create_directories(folder);
    refuse_others(folder, checkpoints);
    for (const std::string& checkpoint : checkpoints) {
      const bool done = is_done(score_file(folder, checkpoint), checkpoint, *dataset, config);
      found += (done ? "1" : "0") + checkpoint + "\n";
    }
  });
  std::istringstream lines(runtime.control().broadcast(found, 0));
  for (std::string line; std::getline(lines, line);) {
    const std::string checkpoint = line.substr(1);
    const std::string path = score_file(folder, checkpoint);
    if (line.front() == '1') {
      spdlog::info("{} is there from an earlier run", path);
      continue;
    }
    Config one = config;
    one.model.checkpoint = checkpoint;
    LoadedModel model = load_scored_model(one, dataset->num_classes(), runtime);
    score(dataset, model, one, path, runtime);
    spdlog::info("scores of {} samples: {}", dataset->size(), path);
  }
  spdlog::info("prune with their mean: --prune.scores={} --prune.score=scores_mean", folder);
}

}  // namespace diffprob::launch

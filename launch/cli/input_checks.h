#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "launch/config/config.h"

namespace diffprob::launch {

/// Each adds what is wrong to the list, "KEY: what", and throws nothing. Not collective.
using Problems = std::vector<std::string>;

/// Whether the command trains a network.
[[nodiscard]] bool trains(const std::string& command);
/// data.train and data.kept, in place. Null when there is a problem.
[[nodiscard]] std::shared_ptr<const data::Dataset> check_training_set(const Config& config,
                                                                      Problems& problems);
/// What a training on `images` images needs: batch, micro-batches, warm-up, head, train.init.
void check_training(const Config& config, std::int64_t images, int ranks, Problems& problems);
/// Whether a pruning that keeps `ratio` of a data set leaves a batch. `dataset` may be null: the
/// synthetic faces. `key` asks for the ratio.
void check_kept_size(const Config& config, const data::Dataset* dataset, double ratio,
                     const std::string& key, Problems& problems);
/// eval.sets: that they are there, and have pairs for eval.folds; images are decoded unless the
/// features come from elsewhere. Looks at every `step`-th set from `first` on.
void check_verification_sets(const Config& config, int first, int step, Problems& problems);
/// train.best_set is the name of a verification set.
void check_best_set(const Config& config, Problems& problems);
/// eval.ijb.
void check_ijb(const Config& config, Problems& problems);
/// eval.features.
void check_features(const Config& config, Problems& problems);
/// model.checkpoint as a network, for eval.
void check_network(const Config& config, Problems& problems);
/// model.checkpoint and model.head of a network that was trained elsewhere. `dataset` may be null.
void check_given(const Config& config, const data::Dataset* dataset, Problems& problems);
/// model.head as the start of a training. `dataset` may be null.
void check_initial_head(const Config& config, const data::Dataset* dataset, Problems& problems);
/// model.checkpoint as one network, for embed and for scores with centres from embeddings.
void check_one_network(const Config& config, Problems& problems);
/// model.checkpoint as network and head, or score.embeddings, for score. `dataset` may be null.
void check_scoring(const Config& config, const data::Dataset* dataset, Problems& problems);
/// Numbers of prune.clean_*.
void check_cleaning(const Config& config, Problems& problems);
/// Files that a pruning reads. `fingerprint` of the data set, or "".
void check_prune_files(const Config& config, const std::string& fingerprint, Problems& problems);
/// prune.dynamics for the pruning of a run, whose scores are made later.
void check_dynamics_file(const Config& config, const std::string& fingerprint, Problems& problems);

/// Runs work() and adds what it throws. Returns whether it did not throw.
template <class Work>
bool attempt(const std::string& key, Problems& problems, const Work& work) {
  try {
    work();
    return true;
  } catch (const ConfigError& error) {
    problems.insert(problems.end(), error.problems().begin(), error.problems().end());
  } catch (const std::exception& error) {
    const std::string message = error.what();
    problems.push_back(key + ": " + message.substr(0, message.find("\nException raised from ")));
  }
  return false;
}

}  // namespace diffprob::launch

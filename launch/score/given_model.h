#pragma once

#include <string>

#include "launch/checkpoint/network.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "launch/score/score.h"

namespace diffprob::launch {

/// Returns true if class centres are made from embeddings of the data set (score.head=centroids).
[[nodiscard]] inline bool makes_centres(const Config& config) {
  return config.score.head == ScoreHead::kCentroids;
}
/// A network that was trained elsewhere: model.checkpoint is its backbone, model.head its class
/// centres unless they are made here, and keys of section model say what files of weights do not:
/// architecture, loss, scale.
[[nodiscard]] inline bool is_given_model(const Config& config) {
  return makes_centres(config) ? !config.model.checkpoint.empty()
                               : !config.model.head_files.empty();
}
/// Returns true if such a network takes the place of the first training of a run.
[[nodiscard]] inline bool starts_from_given(const Config& config) {
  return is_given_model(config) && !config.model.checkpoint.empty();
}

/// Throws ConfigError or an error of the files unless network and head can be read, fit each other
/// and, with `classes` above 0, the data set. Reads all of the network and the shapes of the head.
/// Not collective.
void check_given_model(const Config& config, std::int64_t classes);

/// SHA-256 over the file or checkpoint of model.checkpoint and the keys that say how it is used.
/// Collective.
[[nodiscard]] std::string network_fingerprint(const Config& config, Runtime& runtime);
/// SHA-256 over its files and the keys that say how they are used. Ranks share the reading.
/// Collective.
[[nodiscard]] std::string given_model_fingerprint(const Config& config, Runtime& runtime);

/// Reads the network onto the run's device.
[[nodiscard]] LoadedNetwork load_given_network(const Config& config, const Runtime& runtime);
/// Reads the network and, onto every rank, its rows of the head; says in the log what is used.
/// `fingerprint`: given_model_fingerprint(). Collective. Throws ConfigError when the head is not
/// one of `classes` classes.
[[nodiscard]] LoadedModel load_given_model(const Config& config, std::int64_t classes,
                                           const std::string& fingerprint, Runtime& runtime);

/// No network, and a head for the embeddings of a file (score.embeddings). Collective. Throws
/// prune::PruneError.
[[nodiscard]] LoadedModel load_embedded(const Config& config, std::int64_t classes,
                                        Runtime& runtime);

/// The network and the head that `score` uses, whatever the configuration makes them of.
/// Collective. Throws as the functions above.
[[nodiscard]] LoadedModel load_scored_model(const Config& config, std::int64_t classes,
                                            Runtime& runtime);

/// "NETWORK with the class centres of HEAD", for logs and reports.
[[nodiscard]] std::string given_model_text(const Config& config);

}  // namespace diffprob::launch

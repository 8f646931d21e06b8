#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launch/runtime.h"
#include "model/weights.h"

namespace diffprob::launch {

/// What a checkpoint says of itself in manifest.json (launch/CHECKPOINT_FORMAT.md).
struct CheckpointInfo {
  std::int64_t step = 0;     ///< updates done
  std::int64_t epoch = 0;    ///< of the next batch
  std::int64_t batch = 0;    ///< of that epoch, the next one to train on
  double train_seconds = 0;  ///< spent so far, over all restarts
  std::string backbone;      ///< name
  std::int64_t embedding_dim = 0;
  std::int64_t num_classes = 0;
  std::string loss;
  double scale = 0;
  double margin = 0;
  std::string settings;  ///< the configuration that the weights depend on, and the data set's fingerprint; one key=value a line
};

/// One rank's view: the replicated part and its own class rows. Tensors are the live ones (saving copies from them, loading copies into
/// them).
struct CheckpointState {
  model::StateDict backbone;          ///< replicated
  model::StateDict backbone_momenta;  ///< replicated; empty when weights alone are wanted
  at::Tensor head_weight;             ///< [C_r, D], undefined when the head is not wanted
  at::Tensor head_momentum;           ///< [C_r, D], or undefined
  std::int64_t first_class = 0;
};

/// FOLDER/step_XXXXXXXX, whole or not at all; then removes all but the newest `keep`. Returns its path. Collective.
std::string save_checkpoint(const std::string& folder, const CheckpointInfo& info, const CheckpointState& state, std::int64_t keep,
                            Runtime& runtime);

/// Newest checkpoint of a folder whose files are all there with the right digests; broken ones are named in a warning and passed over.
/// Collective (ranks share the reading of files); the same answer on all.
[[nodiscard]] std::optional<std::string> find_checkpoint(const std::string& folder, Runtime& runtime);

/// Reads manifest.json. Throws c10::Error naming the file.
[[nodiscard]] CheckpointInfo read_checkpoint_info(const std::string& checkpoint);
/// SHA-256 over the digests of all weight files: names the model.
[[nodiscard]] std::string checkpoint_fingerprint(const std::string& checkpoint);

/// Copies a checkpoint, written by any number of ranks, into the tensors of `state`. Digests are checked by find_checkpoint. Not
/// collective.
void load_checkpoint(const std::string& checkpoint, CheckpointState& state);

/// Lines that differ between the settings of a checkpoint and those of now: "train.lr: was 0.1, is 0.05".
[[nodiscard]] std::vector<std::string> settings_differences(const std::string& then, const std::string& now);

}  // namespace diffprob::launch

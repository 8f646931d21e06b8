#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "model/weights/weights.h"

namespace diffprob::launch {

/// What a checkpoint says of itself in manifest.json (launch/checkpoint/CHECKPOINT_FORMAT.md).
struct CheckpointInfo {
  std::int64_t step = 0;     ///< updates done
  std::int64_t epoch = 0;    ///< of the next batch
  std::int64_t batch = 0;    ///< of that epoch, the next one to train on
  double train_seconds = 0;  ///< spent so far, over all restarts
  std::string backbone{};    ///< name
  std::int64_t embedding_dim = 0;
  std::int64_t num_classes = 0;
  std::string loss{};
  double scale = 0;
  double margin = 0;
  std::string settings{};  ///< the configuration that the weights depend on, and the data set's
                           ///< fingerprint; one key=value a line
  std::uint64_t seed = 0;  ///< key of every random stream: order, augmentation and dropout are
                           ///< functions of it and of step, epoch, sample
  std::int64_t consumed_samples = 0;  ///< over all ranks
  std::string schedule{};             ///< learning-rate schedule, as text
  std::string config{};  ///< the whole configuration, for people; its SHA-256 is stored with it
  std::map<std::string, std::int64_t>
      counters{};                      ///< such as updates skipped for a non-finite loss
  std::string best_set{};              ///< verification set that names the best checkpoint, or ""
  std::optional<double> best_value{};  ///< best accuracy on it so far
  std::int64_t best_step =
      -1;  ///< step that had it; equal to `step` when this checkpoint is the best
};

/// Tensors that all ranks hold alike, in a file of their own: "optimizer", "ema", "loss", "scaler"
/// ...
struct ReplicatedPart {
  std::string name;  ///< letters, digits, '_'; NAME.pth
  model::StateDict entries;
};

/// One rank's view. Tensors are the live ones, on any device: saving copies from them, loading
/// copies into them.
struct CheckpointState {
  model::StateDict backbone{};   ///< replicated; BatchNorm statistics averaged over the ranks
  std::int64_t first_class = 0;  ///< of this rank's rows
  std::vector<ReplicatedPart> replicated{};  ///< further replicated tensors
  model::StateDict rows{};  ///< "weight", "momentum", "exp_avg" ...: [C_r, ...] a tensor, row i is
                            ///< class first_class + i
  /// False on ranks whose rows another rank writes (copies of the head).
  bool writes_rows = true;
  /// This rank's own tensors (BatchNorm statistics before averaging). Loaded only when the
  /// checkpoint was written by as many ranks: with them a training that goes on is the unbroken
  /// one, bit for bit, wherever it was stopped.
  model::StateDict local{};
  /// Training dynamics of this rank's share of the samples (DynamicsRecorder), or empty. Written
  /// only: DynamicsRecorder::load reads it.
  model::StateDict dynamics{};
  int rank = 0;        ///< whose `local` this is
  int world_size = 1;  ///< of how many
};

/// Which checkpoints stay; the best one (CheckpointInfo::best_step) always does.
struct Retention {
  std::int64_t newest = 2;        ///< at least 1
  std::int64_t every_epochs = 0;  ///< those at the end of every Nth epoch stay; 0: none
};

/// Newest checkpoint of a folder whose files are all there with the right digests. Broken ones are
/// named in a warning, renamed to NAME.broken and passed over. Throws c10::Error for one of another
/// format version. Collective (ranks share the reading of files); the same answer on all.
[[nodiscard]] std::optional<std::string> find_checkpoint(const std::string& folder,
                                                         dist::HostCollectives& control);

/// Reads manifest.json. Throws c10::Error naming the file.
[[nodiscard]] CheckpointInfo read_checkpoint_info(const std::string& checkpoint);
/// SHA-256 over the digests of all weight files: names the model.
[[nodiscard]] std::string checkpoint_fingerprint(const std::string& checkpoint);
/// Whether it holds the replicated part ("ema").
[[nodiscard]] bool checkpoint_has(const std::string& checkpoint, const std::string& part);

/// Paths of its files STEM.RRRRR-of-WWWWW.pth in rank order; empty when there are none. Throws
/// c10::Error when one is missing.
[[nodiscard]] std::vector<std::string> checkpoint_rank_files(const std::string& checkpoint,
                                                             const std::string& stem);

/// Copies a checkpoint, written by any number of ranks, into the tensors of `state`; of the shards
/// only those are read that hold rows of this rank. Digests are checked by find_checkpoint. What is
/// in the checkpoint and not in `state` is left.
/// @param may_differ  parts ("loss", "optimizer") and rows ("head.momentum") that stay as they are,
/// and are named in the log, when the
///                    checkpoint does not have them in this form: for a loss or an optimiser
///                    changed on purpose
/// @throws c10::Error, data::DataError naming file and entry when something is missing or has
/// another shape. Not collective.
void load_checkpoint(const std::string& checkpoint, CheckpointState& state,
                     const std::vector<std::string>& may_differ = {});

/// Lines that differ between the settings of a checkpoint and those of now: "train.lr: was 0.1, is
/// 0.05". `allowed`: keys
/// ("train.lr") or sections ("train") that may.
[[nodiscard]] std::vector<std::string> settings_differences(
    const std::string& then, const std::string& now, const std::vector<std::string>& allowed = {});

}  // namespace diffprob::launch

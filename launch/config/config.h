#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "data/images/augment.h"
#include "data/loading/loader_options.h"
#include "data/loading/sampling.h"
#include "data/synthetic/faces.h"
#include "dist/deadlines.h"
#include "dist/gpu/device_request.h"
#include "dist/reducer/options.h"
#include "eval/embed/options.h"
#include "eval/neighbours/options.h"
#include "launch/config/config_error.h"
#include "launch/config/precision.h"
#include "launch/config/words.h"
#include "model/foreign/channel_order.h"
#include "model/head/options.h"
#include "model/inference/options.h"
#include "model/margin/options.h"
#include "model/networks/options.h"
#include "model/optim/lr_schedule.h"
#include "model/optim/options.h"
#include "prune/prune_options.h"
#include "prune/while_training/options.h"

namespace diffprob::launch {

/// Units of keys that differ from those of the modules' options.
inline constexpr double kBytesPerMebibyte = 1 << 20;
inline constexpr double kBytesPerGibibyte = 1 << 30;
[[nodiscard]] constexpr double mebibytes(std::int64_t bytes) {
  return static_cast<double>(bytes) / kBytesPerMebibyte;
}
[[nodiscard]] constexpr double seconds(std::chrono::milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// as_is: the labels of the files; dense: 0, 1, 2, ... over the identities that have images.
enum class Labels { kAsIs, kDense };

struct DataConfig {
  std::vector<std::string> train = {"synthetic"};
  std::string root;
  std::string kept;
  Labels labels = Labels::kAsIs;
  std::string stage_dir;
  std::int64_t expected_images = 0;  ///< 0, as below: not known
  std::int64_t expected_identities = 0;
  data::LoaderOptions loader;  ///< loader_options() and TrainingData add the rest
  double cache_gib = 2;
  double resident_gib = 0;
  data::SamplingOptions sampling;
};

struct AugmentConfig {
  data::AugmentPreset preset = data::AugmentPreset::kNone;
  double crop = -1;  ///< a probability; negative, as below: the one of the preset
  double low_resolution = -1;
  double blur = -1;
  double photometric = -1;
  double grayscale = -1;
};

struct ModelConfig {
  model::BackboneOptions network;  ///< a TrainStep adds the seed and the communicator
  /// head_options() adds the classes, the embedding size and the seed, and replaces values that are
  /// model::kPublished.
  model::HeadOptions head = {
      .margin = {.margin = model::kPublished, .elastic_std = model::kPublished}};
  double head_buffer_mib = mebibytes(model::HeadOptions().max_buffer_bytes);
  std::string head_group = "0";  ///< head_group_of() reads it
  bool sync_batch_norm = false;
  std::string checkpoint;
  std::vector<std::string> head_files;
  model::ChannelOrder channel_order = model::ChannelOrder::kRgb;
};

/// Use of a CUDA graph for the steps of a training.
enum class CudaGraph {
  kAuto,  ///< steps are captured where the configuration allows it
  kOn,    ///< likewise, but it is an error where the configuration does not allow it
  kOff,
};

/// What is recorded of each sample in each training epoch.
enum class RecordDynamics {
  kNo,
  kYes,      ///< statistics over the epochs
  kHistory,  ///< and the probability in every epoch
};

/// Kernels that have not run on a GPU yet.
enum class UntriedKernel { kSumStatistics, kFaces, kOwnClasses, kWeights, kFoldedNorm };
[[nodiscard]] const std::vector<Word<UntriedKernel>>& untried_kernel_words();

struct TrainConfig {
  std::int64_t epochs = 34;
  std::int64_t batch_size = 512;
  model::LrScheduleOptions schedule;  ///< make_schedule() adds the number of steps
  model::OptimizerKind optimizer = model::OptimizerKind::kSgd;
  model::SgdOptions sgd;      ///< its weight_decay is that of both optimisers
  model::AdamWOptions adamw;  ///< make_optimizer() sets its weight_decay
  bool decay_norm_and_bias = true;
  double clip_grad_norm = 5;
  std::int64_t accumulate = 1;
  Precision precision = Precision::kAuto;
  dist::GradientReducerOptions reducer;  ///< a TrainStep adds the bucket size and the order
  CudaGraph cuda_graph = CudaGraph::kAuto;
  std::vector<UntriedKernel> untried_kernels;
  double ema_decay = 0;
  std::int64_t max_skipped = 20;
  double max_time = 0;
  std::string init;
  std::vector<std::string> allow_changes;
  bool deterministic = false;
  RecordDynamics record = RecordDynamics::kNo;
  prune::EpochPruningOptions epoch_pruning;  ///< train.prune, prune_ratio, prune_until
  bool trace_order = false;
  std::int64_t profile_steps = 0;
  bool tensorboard = true;
  std::int64_t log_every = 50;
  std::int64_t checkpoint_every = 0;
  std::int64_t keep_checkpoints = 2;
  std::int64_t keep_every_epochs = 0;
  std::string best_set;
  std::int64_t eval_every_epochs = 1;
  std::int64_t eval_every_steps = 0;
};

/// Where the class centres of a scoring come from.
enum class ScoreHead {
  kTrained,    ///< the head that was trained with the network
  kCentroids,  ///< embeddings of the data set itself, each sample without itself
};

struct ScoreConfig {
  ScoreHead head = ScoreHead::kTrained;
  std::int64_t folds = 0;
  std::string embeddings;
  double keep_gib = 4;
  std::int64_t batch_per_rank = 256;
  model::FaceEmbedderOptions network;
  double margin = 0;
  std::int64_t part_samples = 0;
};

struct EmbedConfig {
  at::ScalarType type = at::kFloat;
  bool mirror = false;
  bool npy = false;
};

/// Duplicates, leaks and shared identities by embedding. The least cosines are those of
/// eval::NeighbourOptions.
struct NeighboursConfig {
  std::string embeddings;
  std::vector<std::string> other;
  std::vector<std::string> other_embeddings;
  eval::NeighbourOptions options;
  double shared = 0.7;
  bool pixels = true;
};

struct PruneConfig {
  std::string scores;
  std::string dynamics;
  /// Options that the keys set directly; prune_options() adds the members below and the seed.
  prune::PruneOptions options;
  double keep_ratio = 0.5;
  double threshold = 0;
  prune::Floor floor;  ///< for every method
  bool proposals = false;
  prune::Preset preset = prune::Preset::kDefault;
};

/// What a row of a file of features holds.
enum class FeaturesHold { kImage, kImageAndMirror };

struct EvalConfig {
  std::vector<std::string> sets;
  std::vector<std::string> ijb;
  std::vector<std::string> ijb_variants;
  std::string features;
  std::string features_dataset = "features";
  FeaturesHold features_hold = FeaturesHold::kImage;
  std::string json;
  std::string scores;
  std::string roc;
  eval::EmbedderOptions embedder;
};

struct RunConfig {
  std::int64_t seeds = 1;
  bool compare_random = false;
};

struct SweepConfig {
  std::vector<prune::FullMethod> methods = {{prune::Method::kDiffProb, false},
                                            {prune::Method::kDiffProb, true},
                                            {prune::Method::kRandom, false},
                                            {prune::Method::kDynUnc, false}};
  std::vector<double> ratios = {0.75, 0.5, 0.25};
  std::int64_t cell = -1;
};

/// CPUs on which a rank with a GPU runs.
enum class BindCpus {
  kAuto,  ///< those of its initial CPUs that are on the NUMA node of its GPU
  kNone,  ///< all its initial CPUs
};

struct DistConfig {
  double startup_timeout = seconds(dist::Deadlines().startup);
  double step_timeout = seconds(dist::Deadlines().step);
  double bucket_mib = mebibytes(dist::GradientReducerOptions().bucket_bytes);
  BindCpus bind = BindCpus::kAuto;
};

/// Everything that a run can be told, with the paper's recipe for CASIA-WebFace as default. Where a
/// module has options, the configuration holds them, so that a default stands once. A new key is
/// one member, one row, and its use. Rows (key, help text, range) are in fields.cpp and the
/// *_fields.cpp beside it, the YAML reader is in config.cpp. Only config.cpp knows yaml-cpp.
/// A key that was given on purpose.
struct GivenKey {
  std::string key;
  bool is_flag = false;  ///< on the command line
};

struct Config {
  std::string output = "runs/default";
  std::int64_t seed = 1;
  dist::DeviceRequest device = dist::DeviceRequest::kAuto;
  std::int64_t threads = 0;
  DataConfig data;
  AugmentConfig augment;
  data::SyntheticFacesOptions synthetic;  ///< synthetic_options() adds seed and threads
  ModelConfig model;
  TrainConfig train;
  ScoreConfig score;
  EmbedConfig embed;
  NeighboursConfig neighbours;
  PruneConfig prune;
  EvalConfig eval;
  RunConfig run;
  SweepConfig sweep;
  DistConfig dist;
  /// Lines for the user about keys of the file that only earlier versions used.
  std::vector<std::string> notes;
  /// Keys of the command line, and keys of the file whose values are not the defaults.
  std::vector<GivenKey> given;
};

/// One `--section.key=value` of the command line, in order.
struct Override {
  std::string key;
  std::string value;
};

/// Default < file < command line. A key that an earlier version had is a note when the file has it
/// and a problem on the command line. All problems are found before it throws: ConfigError lists
/// them with file:line and a suggestion. `file_name` is only used in messages; `text` is the YAML.
[[nodiscard]] Config parse_config(const std::string& file_name, const std::string& text,
                                  const std::vector<Override>& overrides);

/// YAML that parse_config reads back to an equal Config; kWithHelp adds the help text of every key
/// as a comment.
enum class DumpStyle { kPlain, kWithHelp };
[[nodiscard]] std::string dump_config(const Config& config, DumpStyle style);

/// Plain dump of some sections ("train", "model", ...; top-level keys by name). Stages take it as a
/// fingerprint of what they depend on.
[[nodiscard]] std::string dump_sections(const Config& config,
                                        const std::vector<std::string>& sections);

}  // namespace diffprob::launch

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/problems.h"

namespace diffprob::launch {

/// Everything that a run can be told. Plain data with defaults (the paper's recipe for CASIA-WebFace); keys, help texts and ranges are
/// in config_fields.cpp, the YAML reader in config.cpp. Only config.cpp knows yaml-cpp.
struct DataConfig {
  std::string train = "synthetic";
  std::string kept;
  std::string on_corrupt = "fail";
  bool flip = true;
  std::int64_t image_size = 112;
  std::int64_t decode_threads = 2;
  std::int64_t prefetch_batches = 4;
};

struct SyntheticConfig {
  std::int64_t identities = 100;
  std::int64_t images_per_identity = 24;
  double near_duplicates = 0.30;
  double flipped_labels = 0.02;
  double hard_samples = 0.05;
  std::int64_t verification_pairs = 1000;
  std::int64_t verification_identities = 100;
};

struct ModelConfig {
  std::string backbone = "iresnet50";
  std::int64_t embedding_dim = 512;
  double dropout = 0.4;
  std::string loss = "cosface";
  double scale = 64;
  double margin = 0.35;
  std::string checkpoint;
};

struct TrainConfig {
  std::int64_t epochs = 34;
  std::int64_t batch_size = 512;
  double lr = 0.1;
  std::int64_t lr_reference_batch = 512;
  std::vector<std::int64_t> milestones = {19, 27, 31};
  double lr_gamma = 0.1;
  double warmup_epochs = 0;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  double clip_grad_norm = 5;
  std::int64_t log_every = 50;
  std::int64_t checkpoint_every = 0;
  std::int64_t keep_checkpoints = 2;
  std::int64_t eval_every_epochs = 1;
};

struct ScoreConfig {
  std::int64_t batch_size = 512;
  double margin = 0;
};

struct PruneConfig {
  std::string scores;
  std::string method = "diffprob";
  bool clean = true;
  double keep_ratio = 0.5;
  double threshold = 0;
  std::int64_t min_kept = 5;
  std::string preset = "default";
};

struct EvalConfig {
  std::vector<std::string> sets;
  std::int64_t batch_per_rank = 64;
  std::int64_t folds = 10;
};

struct RunConfig {
  std::int64_t seeds = 1;
  bool compare_random = false;
};

struct DistConfig {
  double startup_timeout = 300;
  double step_timeout = 100;
  double bucket_mib = 25;
};

struct Config {
  std::string output = "runs/default";
  std::int64_t seed = 1;
  std::string device = "auto";
  std::int64_t threads = 0;
  DataConfig data;
  SyntheticConfig synthetic;
  ModelConfig model;
  TrainConfig train;
  ScoreConfig score;
  PruneConfig prune;
  EvalConfig eval;
  RunConfig run;
  DistConfig dist;
};

/// One `--section.key=value` of the command line, in order.
struct Override {
  std::string key;
  std::string value;
};

/// Default < file < command line. All problems are found before it throws: ConfigError lists them with file:line and a suggestion.
/// `file_name` is used in messages alone; `text` is the YAML.
[[nodiscard]] Config parse_config(const std::string& file_name, const std::string& text, const std::vector<Override>& overrides);

/// YAML that parse_config reads back to an equal Config; with `with_help`, every key carries its help text as a comment.
enum class DumpStyle { kPlain, kWithHelp };
[[nodiscard]] std::string dump_config(const Config& config, DumpStyle style);

/// Plain dump of some sections ("train", "model", ...; top-level keys by name), to fingerprint what a stage depends on.
[[nodiscard]] std::string dump_sections(const Config& config, const std::vector<std::string>& sections);

}  // namespace diffprob::launch

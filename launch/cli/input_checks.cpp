#include "launch/cli/input_checks.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "data/error.h"
#include "data/sets/set_names.h"
#include "data/sets/verification_set.h"
#include "eval/embed/resident_set.h"
#include "eval/ijb/meta.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/list.h"
#include "launch/checkpoint/manifest.h"
#include "launch/checkpoint/network.h"
#include "launch/checkpoint/network_list.h"
#include "launch/evaluate/feature_file.h"
#include "launch/inputs/image_sizes.h"
#include "launch/inputs/labels.h"
#include "launch/inputs/open_with_progress.h"
#include "launch/inputs/set_paths.h"
#include "launch/inputs/synthetic.h"
#include "launch/pipeline/proposals.h"
#include "launch/pipeline/pruning.h"
#include "launch/score/embedding_source.h"
#include "launch/score/given_model.h"
#include "launch/score/head_labels.h"
#include "launch/train/optimizers.h"
#include "launch/train/train.h"
#include "model/margin/margin.h"
#include "prune/error.h"
#include "prune/methods/methods.h"
#include "prune/sample_rows.h"

namespace diffprob::launch {
namespace {
namespace fs = std::filesystem;

/// Images of a set that are decoded at a time.
constexpr std::int64_t kDecodedAtOnce = 512;
/// The number of synthetic images is known on average only.
constexpr double kSyntheticSlack = 1.1;

void need_there(const std::string& path) {
  if (!fs::exists(path)) throw data::DataError(path + " is not there");
}

/// Every image of the set, or the first that is no image.
void decode_all(data::VerificationSet set, const Config& config) {
  const auto images = static_cast<std::int64_t>(set.images.size());
  eval::ResidentSet all(std::move(set), config.data.loader.image_size,
                        std::max(1, config.data.loader.decode_threads), /*keep=*/false);
  for (std::int64_t begin = 0; begin < images; begin += kDecodedAtOnce)
    (void)all.images(begin, std::min(images, begin + kDecodedAtOnce), /*pinned=*/false);
}

void check_verification_set(const std::string& path, const Config& config) {
  if (!fs::exists(path)) throw data::DataError(missing_set(path, config));
  data::VerificationSet set = data::read_verification_bin(path);
  const int folds = config.eval.embedder.folds;
  if (set.pairs() < folds) {
    throw data::DataError(fmt::format(
        "{} has {} pairs, fewer than eval.folds={}; give a set with more pairs, or lower "
        "eval.folds",
        path, set.pairs(), folds));
  }
  if (!config.eval.features.empty()) return;
  const std::string resized = resized_warning(set, config.data.loader.image_size, path);
  if (!resized.empty()) spdlog::warn("{}", resized);
  try {
    decode_all(std::move(set), config);
  } catch (const data::DataError& error) {
    throw data::DataError(path + ": " + error.what() +
                          "; mend or replace the file, or leave it out of eval.sets");
  }
}

void check_head(const Config& config, Problems& problems) {
  const auto& head = config.model.head;
  const bool bf16 = head.storage != at::kFloat;
  if ((head.sample_rate < 1 || bf16) && config.train.optimizer != model::OptimizerKind::kSgd)
    problems.push_back(
        "train.optimizer: model.sample_rate below 1 and model.head_storage=bf16 need sgd, got "
        "adamw");
  if (head.sample_rate < 1 && config.train.accumulate > 1)
    problems.push_back("train.accumulate: model.sample_rate below 1 needs 1, got " +
                       std::to_string(config.train.accumulate));
  attempt("model.loss", problems,
          [&] { (void)model::make_margin(model::with_published_values(head.margin), at::kCPU); });
}

/// The floor of prune.min_kept and prune.min_kept_share, over all identities.
std::int64_t floor_of(const data::Dataset& dataset, const prune::Floor& floor) {
  std::map<std::int64_t, std::int64_t> counts;
  for (std::int64_t i = 0; i < dataset.size(); ++i) ++counts[dataset.label(i)];
  std::int64_t total = 0;
  for (const auto& [label, count] : counts) total += std::min(count, floor.of(count));
  return total;
}

}  // namespace

bool trains(const std::string& command) {
  return command == "train" || command == "run" || command == "sweep";
}

std::shared_ptr<const data::Dataset> check_training_set(const Config& config, Problems& problems) {
  if (is_synthetic(config)) {
    problems.push_back(
        "data.train: is synthetic, which only run and sweep generate themselves: give a data set, "
        "or generate faces with `diffprob data synth FOLDER` and give --data.train=FOLDER");
    return nullptr;
  }
  std::shared_ptr<const data::Dataset> dataset;
  if (!attempt("data.train", problems,
               [&] { dataset = open_with_progress(config.data.train, config.data.root); })) {
    if (!config.data.kept.empty())
      attempt("data.kept", problems, [&] { need_there(config.data.kept); });
    return nullptr;
  }
  const bool fits = attempt(config.data.kept.empty() ? "data.labels" : "data.kept", problems, [&] {
    if (!config.data.kept.empty()) need_there(config.data.kept);
    dataset = trained_part(config, dataset);
  });
  return fits ? dataset : nullptr;
}

void check_training(const Config& config, std::int64_t images, int ranks, Problems& problems) {
  const Problems of_batch = batch_problems(config, images, ranks);
  problems.insert(problems.end(), of_batch.begin(), of_batch.end());
  check_head(config, problems);
  const std::int64_t steps = std::max<std::int64_t>(1, images / config.train.batch_size);
  attempt("train.warmup_epochs", problems, [&] { (void)make_schedule(config.train, steps); });
  if (config.train.init.empty()) return;
  attempt("train.init", problems, [&] {
    need_there(config.train.init);
    const auto network = model::make_backbone(
        {config.model.network.name, config.model.network.embedding_dim, 0.0, 1});
    (void)load_backbone_weights(config.train.init, model::state_dict(*network),
                                shape_of_weight_file(config.model));
  });
}

void check_kept_size(const Config& config, const data::Dataset* dataset, double ratio,
                     const std::string& key, Problems& problems) {
  const std::int64_t batch = config.train.batch_size;
  const double images = dataset != nullptr
                            ? static_cast<double>(dataset->size())
                            : static_cast<double>(config.synthetic.identities) *
                                  static_cast<double>(config.synthetic.images_per_identity);
  const double at_most = dataset != nullptr ? images : kSyntheticSlack * images;
  if (at_most < static_cast<double>(batch) || ratio * at_most >= static_cast<double>(batch)) return;
  const prune::Floor& floor = config.prune.floor;
  const double at_least = dataset != nullptr
                              ? static_cast<double>(floor_of(*dataset, floor))
                              : static_cast<double>(config.synthetic.identities * floor.min_kept);
  if (at_least >= static_cast<double>(batch)) return;
  problems.push_back(fmt::format(
      "{}: {:g} of {:.0f} images are about {:.0f}, fewer than one global batch of {}: the training "
      "on what is kept would fail. Keep more, or choose a smaller train.batch_size now, before the "
      "first training (a later change would train all networks again)",
      key, ratio, images, ratio * images, batch));
}

void check_verification_sets(const Config& config, int first, int step, Problems& problems) {
  const auto& sets = config.eval.sets;
  for (std::size_t i = static_cast<std::size_t>(first); i < sets.size();
       i += static_cast<std::size_t>(step))
    attempt("eval.sets", problems, [&] { check_verification_set(sets[i], config); });
}

void check_best_set(const Config& config, Problems& problems) {
  const std::string& best = config.train.best_set;
  if (best.empty()) return;
  std::vector<std::string> names;
  if (!attempt("eval.sets", problems, [&] { names = data::set_names(config.eval.sets); })) return;
  if (is_synthetic(config)) names.push_back("synthetic_verification");
  const bool has_set = std::find(names.begin(), names.end(), best) != names.end();
  if (best == kMeanOfSets && !names.empty()) {
    if (has_set)
      problems.push_back(
          "train.best_set: mean is the mean of all sets, but one of eval.sets has this name, too; "
          "rename its file");
    return;
  }
  if (has_set) return;
  problems.push_back(fmt::format(
      "train.best_set: {} is none of the verification sets of this job ({}); expected the name of "
      "a file of eval.sets, without .bin (and with its folder where two have the same name), or "
      "mean",
      best, names.empty() ? "eval.sets is empty" : fmt::format("{}", fmt::join(names, ", "))));
}

void check_ijb(const Config& config, Problems& problems) {
  attempt("eval.ijb", problems, [&] {  // none is given twice
    (void)data::distinct_names(config.eval.ijb,
                               std::vector<std::string>(config.eval.ijb.size(), "IJB"));
  });
  for (const auto& folder : config.eval.ijb) {
    attempt("eval.ijb", problems, [&] {
      need_there(folder);
      const eval::IjbFiles files = eval::find_ijb_files(folder);
      if (config.eval.features.empty() && !fs::is_directory(files.images))
        throw data::DataError(files.images + ": the folder of images is not there");
    });
  }
}

void check_features(const Config& config, Problems& problems) {
  if (config.eval.features.empty()) return;
  attempt("eval.features", problems, [&] {
    need_there(config.eval.features);
    (void)FeatureFile(config.eval.features, config.eval.features_dataset);
  });
}

void check_network(const Config& config, Problems& problems) {
  if (config.model.checkpoint.empty() || !config.eval.features.empty()) return;
  attempt("model.checkpoint", problems, [&] {
    need_there(config.model.checkpoint);
    if (list_networks(config.model.checkpoint).is_folder) return;  // bad ones are skipped
    (void)load_network(config.model.checkpoint, shape_of_weight_file(config.model), at::kCPU);
  });
}

void check_given(const Config& config, const data::Dataset* dataset, Problems& problems) {
  bool there = attempt("model.checkpoint", problems, [&] { need_there(config.model.checkpoint); });
  for (const std::string& path : config.model.head_files)
    there &= attempt("model.head", problems, [&] { need_there(path); });
  if (!there) return;
  attempt("model.checkpoint", problems,
          [&] { check_given_model(config, dataset != nullptr ? dataset->num_classes() : 0); });
}

void check_initial_head(const Config& config, const data::Dataset* dataset, Problems& problems) {
  if (config.train.init.empty() || config.model.head_files.empty()) return;
  attempt("model.head", problems, [&] {
    for (const std::string& path : config.model.head_files) need_there(path);
    const model::HeadFiles head(config.model.head_files, config.model.network.embedding_dim);
    if (dataset != nullptr) check_head_classes(head, dataset->num_classes());
  });
}

void check_one_network(const Config& config, Problems& problems) {
  const std::string& checkpoint = config.model.checkpoint;
  if (checkpoint.empty()) {
    problems.push_back("model.checkpoint: this command needs it");
    return;
  }
  attempt("model.checkpoint", problems, [&] {
    need_there(checkpoint);
    if (holds_checkpoints(checkpoint))
      throw data::DataError(checkpoint +
                            " is a folder of checkpoints, expected one network: name one of them");
    (void)load_network(checkpoint, shape_of_weight_file(config.model), at::kCPU);
  });
}

/// Every network of a folder of checkpoints, for class centres from their embeddings.
void check_networks(const Config& config, Problems& problems) {
  attempt("model.checkpoint", problems, [&] {
    for (const std::string& each : list_checkpoints(config.model.checkpoint))
      (void)load_network(each, shape_of_weight_file(config.model), at::kCPU);
  });
}

void check_scoring(const Config& config, const data::Dataset* dataset, Problems& problems) {
  const std::string& checkpoint = config.model.checkpoint;
  if (makes_centres(config) && config.score.embeddings.empty())
    return holds_checkpoints(checkpoint) ? check_networks(config, problems)
                                         : check_one_network(config, problems);
  if (makes_centres(config)) {
    attempt("score.embeddings", problems, [&] {
      need_there(config.score.embeddings);
      if (dataset != nullptr) check_embeddings(config.score.embeddings, *dataset);
    });
    return;
  }
  if (checkpoint.empty()) {
    problems.push_back("model.checkpoint: this command needs it");
    return;
  }
  if (is_given_model(config)) return check_given(config, dataset, problems);
  attempt("model.checkpoint", problems, [&] {
    need_there(checkpoint);
    if (!fs::is_directory(checkpoint))
      throw data::DataError(
          checkpoint +
          " is a file, and no model.head is given: scores need class centres, too. Give a "
          "checkpoint folder, or name the file of the centres with --model.head=FILES (the same "
          "file when it holds both), or make them from embeddings (--score.head=centroids)");
    const auto checkpoints = holds_checkpoints(checkpoint) ? list_checkpoints(checkpoint)
                                                           : std::vector<std::string>{checkpoint};
    for (const std::string& each : checkpoints) {
      const Manifest manifest = read_manifest(each);
      for (const auto& file : manifest.files) need_there(each + "/" + file.name);
      if (dataset == nullptr) continue;
      const std::string doubt = check_head_labels(each, manifest.info, *dataset);
      if (!doubt.empty() && &each == &checkpoints.back()) spdlog::warn("{}", doubt);
    }
  });
}

void check_cleaning(const Config& config, Problems& problems) {
  if (!config.prune.options.clean) return;
  attempt("prune.clean", problems, [&] { prune::check(config.prune.options.cleaning); });
  attempt("prune.proposals", problems, [&] { check_proposals(config); });
}

void check_prune_files(const Config& config, const std::string& fingerprint, Problems& problems) {
  check_cleaning(config, problems);
  const PruneConfig& p = config.prune;
  if (p.scores.empty() && p.dynamics.empty()) {
    if (fingerprint.empty() || !prune::reads_labels_alone(prune_options(config)))
      problems.push_back(
          "prune.scores: this command needs it (or prune.dynamics, for methods that read it; "
          "random, balanced and deep need only data.train and prune.clean=false)");
    return;
  }
  bool there = true;
  for (const auto& [key, path] :
       {std::pair("prune.scores", p.scores), {"prune.dynamics", p.dynamics}})
    there &= path.empty() || attempt(key, problems, [&, &file = path] { need_there(file); });
  if (there)
    attempt(p.scores.empty() ? "prune.dynamics" : "prune.scores", problems, [&] {
      const prune::SampleRows rows({p.scores, p.dynamics, fingerprint}, prune_options(config));
      if (fingerprint.empty() && !rows.source().part_of.empty())
        throw prune::PruneError(
            (p.scores.empty() ? p.dynamics : p.scores) +
            " is of a part of a data set; give its data.train and data.kept (and data.labels), so "
            "that the kept lists count in the whole set");
    });
}

void check_dynamics_file(const Config& config, const std::string& fingerprint, Problems& problems) {
  if (config.prune.dynamics.empty()) return;
  attempt("prune.dynamics", problems, [&] {
    need_there(config.prune.dynamics);
    prune::PruneOptions options = prune_options(config);
    if (!prune::needs_dynamics(options)) return;
    options.clean = false;  // which reads scores, too
    (void)prune::SampleRows({"", config.prune.dynamics, fingerprint}, options);
  });
}

}  // namespace diffprob::launch

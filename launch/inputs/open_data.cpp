#include "launch/inputs/open_data.h"

#include <c10/util/StringUtil.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "data/open_dataset.h"
#include "data/sets/concatenated_dataset.h"
#include "data/sets/label_map.h"
#include "launch/inputs/stage_data.h"
#include "prune/lists/list_file.h"
#include "prune/methods/methods.h"

namespace diffprob::launch {

data::SyntheticFacesOptions synthetic_options(const Config& config) {
  data::SyntheticFacesOptions options = config.synthetic;
  options.seed = static_cast<std::uint64_t>(config.seed);
  options.threads = std::max(1, config.data.loader.decode_threads);
  return options;
}

prune::PruneOptions prune_options(const Config& config) {
  const PruneConfig& p = config.prune;
  prune::PruneOptions options = p.options;
  options.random.seed = options.ccs.seed = static_cast<std::uint64_t>(config.seed);
  options.diffprob.preset = options.ranked.preset = p.preset;
  if (p.preset == prune::Preset::kReference)
    options.random.draw = prune::RandomOptions::Draw::kTail;
  options.diffprob.floor = options.random.floor = options.ranked.floor = options.ccs.floor =
      p.floor;
  if (options.method == prune::Method::kDiffProb && p.threshold > 0)
    options.diffprob.threshold = p.threshold;
  else if (prune::has_keep_ratio(options.method))
    options.keep_ratio = p.keep_ratio;
  return options;
}

prune::PruneWork prune_work() {
  const auto last =
      std::make_shared<std::chrono::steady_clock::time_point>(std::chrono::steady_clock::now());
  prune::PruneWork work;
  work.progress = [last](std::string_view step, std::int64_t done, std::int64_t total) {
    const auto now = std::chrono::steady_clock::now();
    if (now - *last < std::chrono::seconds(5)) return;
    *last = now;
    spdlog::info("prune: {}, {:.0f} %", step,
                 100.0 * static_cast<double>(done) / static_cast<double>(total));
  };
  return work;
}

bool is_synthetic(const Config& config) {
  return config.data.train == std::vector<std::string>{"synthetic"};
}

prune::IndexSet read_kept_list(const std::string& path, std::int64_t num_samples) {
  try {
    return prune::read_index_set(path, num_samples);
  } catch (const prune::ListNeedsMore& error) {
    const bool names = error.missing() == prune::ListNeedsMore::What::kNames;
    throw prune::PruneError(std::string(error.what()) + "; convert it once: diffprob convert " +
                            path + " kept.h5 " +
                            (names ? "--data=PATH" : "--list=kept (or --list=dropped)"));
  }
}

std::shared_ptr<const data::Dataset> open_training_set(const Config& config, Runtime& runtime) {
  if (is_synthetic(config)) {
    throw ConfigError(
        {"data.train is synthetic, which only run and sweep generate themselves: give a data set, "
         "or generate faces with `diffprob data synth FOLDER` and give --data.train=FOLDER"});
  }
  const auto place = node_place(runtime.mpi());
  const auto paths =
      config.data.stage_dir.empty()
          ? config.data.train
          : stage_datasets(config.data.train, config.data.stage_dir, place, runtime.control());
  auto dataset = data::open_datasets(paths);
  const std::string name = c10::Join(", ", config.data.train);
  check_same_dataset(*dataset, name, place, runtime.control());
  spdlog::info("training set {}: {} images, {} identities", name, dataset->size(),
               dataset->num_classes());
  if (config.data.kept.empty()) return dataset;
  return kept_part(dataset, read_kept_list(config.data.kept, dataset->size()), config.data.kept);
}

std::shared_ptr<const data::Dataset> kept_part(const std::shared_ptr<const data::Dataset>& dataset,
                                               const prune::IndexSet& set,
                                               const std::string& path) {
  TORCH_CHECK(set.dataset_fingerprint.empty() || set.dataset_fingerprint == dataset->fingerprint(),
              path, " was made from another data set (fingerprint ",
              set.dataset_fingerprint.substr(0, 12), ", but this one has ",
              dataset->fingerprint().substr(0, 12), ")");
  // A plain list has no label map: the identities that are left are renumbered.
  std::vector<std::int64_t> label_map =
      set.label_map.empty() ? data::dense_label_map(*dataset, set.kept) : set.label_map;
  return std::make_shared<data::Subset>(dataset, set.kept, std::move(label_map));
}

std::vector<eval::ResidentSet> open_verification_sets(const Config& config, KeepDecoded keep) {
  std::vector<eval::ResidentSet> sets;
  const int threads = std::max(1, config.data.loader.decode_threads);
  for (const auto& path : config.eval.sets) {
    data::VerificationSet set = data::read_verification_bin(path);
    spdlog::info("verification set {}: {} pairs", set.name, set.pairs());
    sets.emplace_back(std::move(set), config.data.loader.image_size, threads,
                      keep == KeepDecoded::kYes);
  }
  return sets;
}

}  // namespace diffprob::launch

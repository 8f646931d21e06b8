#include "launch/inputs/open_data.h"

#include <c10/util/StringUtil.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "data/open_dataset.h"
#include "data/records/record_io.h"
#include "data/sets/set_names.h"
#include "dist/mpi/agreement.h"
#include "launch/inputs/labels.h"
#include "launch/inputs/open_with_progress.h"
#include "launch/inputs/stage_data.h"
#include "launch/inputs/synthetic.h"

namespace diffprob::launch {
namespace {

void warn_about_left_out(const data::Dataset& dataset, const std::string& name) {
  const data::LeftOut rest = dataset.left_out();
  if (rest.count > 0)
    spdlog::warn("{}: {} entries are left out, the first is {}. `diffprob data check` lists all",
                 name, rest.count, rest.first);
}

}  // namespace

std::shared_ptr<const data::Dataset> open_together(const std::vector<std::string>& paths,
                                                   const std::string& root, Runtime& runtime) {
  std::shared_ptr<const data::Dataset> dataset;
  const auto open = [&] {
    if (dataset != nullptr) return;
    dataset =
        runtime.is_root() ? open_with_progress(paths, root) : data::open_datasets(paths, root);
  };
  const bool first_of_node = node_place(runtime.mpi()).local_rank == 0;
  if (std::ranges::any_of(paths, data::is_record_file))
    dist::in_rounds(runtime.control(), [&] {
      if (first_of_node) open();
    });
  dist::in_rounds(runtime.control(), open);
  return dataset;
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
  auto dataset = open_together(paths, config.data.root, runtime);
  const std::string name = c10::Join(", ", config.data.train);
  check_same_dataset(*dataset, name, place, runtime.control());
  spdlog::info("training set {}: {} images, {} identities", name, dataset->size(),
               dataset->num_classes());
  if (runtime.is_root()) warn_about_left_out(*dataset, name);
  if (runtime.is_root() && std::ranges::any_of(paths, data::lacks_index))
    spdlog::info(
        "{}: no index could be saved beside the records, so each start reads the heads of all of "
        "them: run `diffprob data info` on them once as somebody who may write there",
        name);
  auto trained = trained_part(config, dataset);
  if (!runtime.is_root()) return trained;
  const std::string warning = empty_class_warning(config, *trained, name);
  if (!warning.empty()) spdlog::warn("{}", warning);
  return trained;
}

std::vector<eval::ResidentSet> open_verification_sets(const Config& config, KeepDecoded keep) {
  std::vector<eval::ResidentSet> sets;
  const int threads = std::max(1, config.data.loader.decode_threads);
  const std::vector<std::string> names = data::set_names(config.eval.sets);
  for (std::size_t i = 0; i < names.size(); ++i) {
    data::VerificationSet set = data::read_verification_bin(config.eval.sets[i]);
    set.name = names[i];
    spdlog::info("verification set {}: {} pairs", set.name, set.pairs());
    sets.emplace_back(std::move(set), config.data.loader.image_size, threads,
                      keep == KeepDecoded::kYes);
  }
  return sets;
}

}  // namespace diffprob::launch

#include "launch/inputs/kept_list.h"

#include <c10/util/Exception.h>

#include <numeric>

#include "data/sets/label_map.h"
#include "prune/lists/list_file.h"

namespace diffprob::launch {

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

std::shared_ptr<const data::Dataset> kept_part(const std::shared_ptr<const data::Dataset>& dataset,
                                               const prune::IndexSet& set,
                                               const std::string& path) {
  if (set.whole && set.whole->fingerprint == dataset->fingerprint())
    return kept_part(dataset, prune::in_whole_numbers(set), path);
  TORCH_CHECK(set.dataset_fingerprint.empty() || set.dataset_fingerprint == dataset->fingerprint(),
              path, " was made from another data set (fingerprint ",
              set.dataset_fingerprint.substr(0, 12), ", but this one has ",
              dataset->fingerprint().substr(0, 12), ")");
  // A plain list has no label map: the identities that are left are renumbered.
  std::vector<std::int64_t> label_map =
      set.label_map.empty() ? data::dense_label_map(*dataset, set.kept) : set.label_map;
  return std::make_shared<data::Subset>(dataset, set.kept, std::move(label_map));
}

std::string part_of(const data::Dataset& dataset) {
  const auto* part = dynamic_cast<const data::Subset*>(&dataset);
  if (part == nullptr) return {};
  const std::string outer = part_of(part->parent());
  return outer.empty() ? part->parent().fingerprint() : outer;
}

std::optional<prune::WholeNumbers> whole_numbers(const data::Dataset& dataset) {
  const auto* part = dynamic_cast<const data::Subset*>(&dataset);
  if (part == nullptr) return std::nullopt;
  prune::WholeNumbers whole;
  for (std::int64_t i = 0; i < part->size(); ++i) whole.indices.push_back(part->parent_index(i));
  whole.label_map = part->label_map();
  if (whole.label_map.empty()) {
    whole.label_map.resize(static_cast<std::size_t>(part->parent().num_classes()));
    std::iota(whole.label_map.begin(), whole.label_map.end(), std::int64_t{0});
  }
  const auto outer = whole_numbers(part->parent());
  if (!outer) {
    whole.fingerprint = part->parent().fingerprint();
    whole.num_samples = part->parent().size();
    return whole;
  }
  whole.fingerprint = outer->fingerprint;
  whole.num_samples = outer->num_samples;
  for (std::int64_t& index : whole.indices) index = outer->indices[static_cast<std::size_t>(index)];
  whole.label_map = prune::label_map_of_whole(*outer, whole.label_map);
  return whole;
}

}  // namespace diffprob::launch

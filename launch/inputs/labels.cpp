#include "launch/inputs/labels.h"

#include <fmt/core.h>

#include <numeric>
#include <utility>
#include <vector>

#include "data/dense_labels.h"
#include "data/error.h"
#include "launch/inputs/kept_list.h"

namespace diffprob::launch {
namespace {

struct ClassUse {
  std::int64_t used = 0;
  std::int64_t first_empty = -1;
};

ClassUse class_use(const data::Dataset& dataset) {
  std::vector<bool> has_image(static_cast<std::size_t>(dataset.num_classes()), false);
  ClassUse use;
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    const auto label = static_cast<std::size_t>(dataset.label(i));
    if (!has_image[label]) ++use.used;
    has_image[label] = true;
  }
  for (std::size_t c = 0; c < has_image.size() && use.first_empty < 0; ++c)
    if (!has_image[c]) use.first_empty = static_cast<std::int64_t>(c);
  return use;
}

/// The set with labels 0, 1, 2, ...; the set itself when it has them already.
std::shared_ptr<const data::Dataset> with_dense_labels(
    const std::shared_ptr<const data::Dataset>& set) {
  if (class_use(*set).used == set->num_classes()) return set;
  data::DenseLabels labels(set->num_classes());
  for (std::int64_t i = 0; i < set->size(); ++i) labels.keep(set->label(i));
  std::vector<std::int64_t> all(static_cast<std::size_t>(set->size()));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  return std::make_shared<data::Subset>(set, std::move(all), std::move(labels).map());
}

}  // namespace

std::shared_ptr<const data::Dataset> trained_part(
    const Config& config, const std::shared_ptr<const data::Dataset>& whole) {
  const bool dense = config.data.labels == Labels::kDense;
  if (config.data.kept.empty()) return dense ? with_dense_labels(whole) : whole;
  const prune::IndexSet set = read_kept_list(config.data.kept, whole->size());
  if (set.kept.empty())
    throw data::DataError(config.data.kept +
                          " keeps no samples; give another list, or none for all samples");
  // A list that comes from pruning with dense labels is a list of that set.
  const bool of_whole = set.dataset_fingerprint == whole->fingerprint();
  const auto labelled = dense && !of_whole ? with_dense_labels(whole) : whole;
  const auto kept = kept_part(labelled, set, config.data.kept);
  return dense ? with_dense_labels(kept) : kept;
}

std::string empty_class_warning(const Config& config, const data::Dataset& dataset,
                                const std::string& name) {
  const ClassUse use = class_use(dataset);
  const std::int64_t empty = dataset.num_classes() - use.used;
  if (empty == 0) return "";
  const double bytes = config.model.head.storage == at::kBFloat16 ? 2 : 4;
  const double moments = config.train.optimizer == model::OptimizerKind::kAdamW ? 2 : 1;
  const double mib = static_cast<double>(empty) *
                     static_cast<double>(config.model.network.embedding_dim) * bytes *
                     (1 + moments) / (1 << 20);
  return fmt::format(
      "{}: {} of {} classes have no images, the first is class {}. Their centres and momenta take "
      "{:.1f} MiB, distributed over the ranks, and they take part in every softmax. "
      "--data.labels=dense leaves them out and numbers the other {} from 0",
      name, empty, dataset.num_classes(), use.first_empty, mib, use.used);
}

void check_identities(const data::Dataset& dataset, const std::string& name) {
  const ClassUse use = class_use(dataset);
  if (use.used >= 2) return;
  throw ConfigError({fmt::format(
      "{}: expected images of at least 2 identities to train on, found {} images of {}; add "
      "identities (data.train), or check the labels and data.kept",
      name, dataset.size(), use.used)});
}

}  // namespace diffprob::launch

#include "prune/identity_embeddings.h"

#include <cmath>
#include <numeric>

#include "prune/error.h"

namespace diffprob::prune {

IdentityEmbeddings::IdentityEmbeddings(const std::string& path,
                                       std::span<const std::int32_t> labels,
                                       const ScoreSource& source)
    : file_(path),
      begin_(static_cast<std::size_t>(source.num_classes) + 1, 0),
      order_(labels.size()) {
  const EmbeddingSourceInfo& info = file_.source();
  if (info.num_samples != static_cast<std::int64_t>(labels.size()) ||
      info.dataset_fingerprint != source.dataset_fingerprint)
    throw PruneError(path + ": embeddings of " + std::to_string(info.num_samples) +
                     " samples of the data set '" + info.dataset_fingerprint.substr(0, 12) +
                     "', but the scores are of " + std::to_string(labels.size()) + " samples of '" +
                     source.dataset_fingerprint.substr(0, 12) +
                     "'; run `diffprob embed` on the data set that was scored");
  for (const std::int32_t label : labels) ++begin_[static_cast<std::size_t>(label) + 1];
  std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
  std::vector<std::int64_t> next(begin_.begin(), begin_.end() - 1);
  for (std::size_t i = 0; i < labels.size(); ++i)
    order_[static_cast<std::size_t>(next[static_cast<std::size_t>(labels[i])]++)] =
        static_cast<std::int64_t>(i);
}

std::span<const std::int64_t> IdentityEmbeddings::samples_of(std::int64_t identity) const {
  const auto c = static_cast<std::size_t>(identity);
  return std::span(order_).subspan(static_cast<std::size_t>(begin_[c]),
                                   static_cast<std::size_t>(begin_[c + 1] - begin_[c]));
}

std::span<const float> IdentityEmbeddings::units_of(std::int64_t identity) {
  const auto samples = samples_of(identity);
  units_.resize(samples.size() * dim());
  const std::span<float> units(units_);
  for (std::size_t i = 0; i < samples.size();) {
    std::size_t run = 1;  // rows that follow one another are read at once
    while (i + run < samples.size() &&
           samples[i + run] == samples[i] + static_cast<std::int64_t>(run))
      ++run;
    file_.read(samples[i], units.subspan(i * dim(), run * dim()));
    i += run;
  }
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto row = units.subspan(i * dim(), dim());
    double squares = 0;
    for (const float value : row)
      squares += static_cast<double>(value) * static_cast<double>(value);
    if (!(squares > 0)) continue;
    const double length = std::sqrt(squares);
    for (float& value : row) value = static_cast<float>(static_cast<double>(value) / length);
  }
  return units;
}

}  // namespace diffprob::prune

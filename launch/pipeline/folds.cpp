#include "launch/pipeline/folds.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "data/files/sha256.h"
#include "data/random/keyed_random.h"
#include "launch/inputs/kept_list.h"
#include "prune/error.h"
#include "prune/tables/score_table.h"

namespace diffprob::launch {

std::vector<std::int32_t> deal_folds(const data::Dataset& dataset, std::int64_t folds,
                                     std::uint64_t seed) {
  const auto classes = static_cast<std::size_t>(dataset.num_classes());
  std::vector<std::vector<std::int64_t>> samples(classes);
  for (std::int64_t i = 0; i < dataset.size(); ++i)
    samples[static_cast<std::size_t>(dataset.label(i))].push_back(i);
  std::vector<std::int32_t> fold_of(static_cast<std::size_t>(dataset.size()), kEveryFold);
  const std::uint64_t key = data::combine_key(seed, data::key_of_name("score.folds"));
  for (std::size_t c = 0; c < classes; ++c) {
    std::vector<std::int64_t>& own = samples[c];
    if (own.size() < 2) continue;
    data::KeyedRandom random(data::combine_key(key, c));
    for (std::size_t left = own.size(); left > 1; --left)
      std::swap(own[left - 1], own[random.below(left)]);
    // From a drawn fold on, so that small identities do not all fill the first folds.
    const std::uint64_t first = random.below(static_cast<std::uint64_t>(folds));
    for (std::size_t place = 0; place < own.size(); ++place)
      fold_of[static_cast<std::size_t>(own[place])] =
          static_cast<std::int32_t>((first + place) % static_cast<std::uint64_t>(folds));
  }
  return fold_of;
}

FoldParts parts_of_fold(const std::vector<std::int32_t>& folds, std::int32_t fold) {
  FoldParts parts;
  for (std::size_t i = 0; i < folds.size(); ++i) {
    const auto sample = static_cast<std::int64_t>(i);
    if (folds[i] != fold) parts.trained.push_back(sample);
    if (folds[i] == fold || (folds[i] == kEveryFold && fold == 0)) parts.scored.push_back(sample);
  }
  return parts;
}

void merge_fold_scores(const data::Dataset& dataset, const std::vector<std::string>& files,
                       const std::vector<std::vector<std::int64_t>>& scored,
                       const std::string& path) {
  prune::ScoreTable whole;
  prune::ScoreTableBuilder records(dataset.size());
  std::string networks;
  for (std::size_t fold = 0; fold < files.size(); ++fold) {
    prune::ScoreTable part = prune::read_scores(files[fold]);
    if (part.records.size() != scored[fold].size())
      throw prune::PruneError(files[fold] + ": scores of " + std::to_string(part.records.size()) +
                              " samples, expected " + std::to_string(scored[fold].size()));
    for (prune::ScoreRecord& record : part.records)
      record.index = static_cast<std::uint32_t>(scored[fold][record.index]);
    records.add(part.records, files[fold]);
    networks += part.source.model_fingerprint;
    whole.source = std::move(part.source);
  }
  whole.records = records.take();
  whole.source.dataset_fingerprint = dataset.fingerprint();
  whole.source.model_fingerprint = data::sha256_hex(networks);
  whole.source.part_of = part_of(dataset);
  for (std::int64_t i = 0; i < dataset.size(); ++i)
    whole.labels.push_back(static_cast<std::int32_t>(dataset.label(i)));
  prune::write_scores(path, whole);
}

}  // namespace diffprob::launch

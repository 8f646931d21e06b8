#include "launch/duplicates/pair_files.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "data/sets/label_map.h"
#include "launch/inputs/kept_list.h"
#include "launch/observe/csv_field.h"
#include "prune/lists/index_set.h"

namespace diffprob::launch {
namespace {

std::string sample_fields(const data::Dataset& dataset, std::int64_t index) {
  return fmt::format("{},{},{}", index, dataset.label(index), csv_field(dataset.describe(index)));
}

/// By what a pair was found, the similarity and distance of its pixels, and the cosine; fields of
/// what did not find it are empty.
std::string finding_fields(const FoundPair& pair) {
  const char* by = !pair.by_embedding ? "pixels" : pair.by_pixels ? "both" : "embedding";
  std::string text = by;
  text += pair.by_pixels ? fmt::format(",{:.4f},{}", pair.similarity, pair.distance) : ",,";
  return text + (pair.by_embedding ? fmt::format(",{:.4f}", std::min(pair.cosine, 1.0F)) : ",");
}

}  // namespace

std::vector<FoundPair> found_pairs(const std::vector<ImagePair>& by_pixels,
                                   const std::vector<eval::NeighbourPair>& by_embedding) {
  std::vector<FoundPair> found;
  auto near = by_embedding.begin();
  const auto key = [](const auto& pair) { return std::pair(pair.a, pair.b); };
  const auto take_near = [&](const auto& is_wanted) {
    for (; near != by_embedding.end() && is_wanted(key(*near)); ++near)
      found.push_back({near->a, near->b, 0, 0, near->cosine, false, true});
  };
  for (const ImagePair& pair : by_pixels) {
    take_near([&](const auto& of_near) { return of_near < key(pair); });
    FoundPair& both = found.emplace_back();
    both = {pair.a, pair.b, pair.distance, pair.similarity, 0, true, false};
    if (near == by_embedding.end() || key(*near) != key(pair)) continue;
    both.cosine = near++->cosine;
    both.by_embedding = true;
  }
  take_near([](const auto&) { return true; });
  return found;
}

std::vector<std::int64_t> all_but_first(const std::vector<FoundPair>& pairs, std::int64_t size) {
  std::vector<std::int64_t> first(static_cast<std::size_t>(size));
  std::iota(first.begin(), first.end(), std::int64_t{0});
  const auto root = [&](std::int64_t i) {
    while (first[static_cast<std::size_t>(i)] != i) {
      auto& next = first[static_cast<std::size_t>(i)];
      next = first[static_cast<std::size_t>(next)];
      i = next;
    }
    return i;
  };
  for (const auto& pair : pairs) {
    const std::int64_t a = root(pair.a), b = root(pair.b);
    first[static_cast<std::size_t>(std::max(a, b))] = std::min(a, b);
  }
  std::vector<std::int64_t> rest;
  for (std::int64_t i = 0; i < size; ++i)
    if (first[static_cast<std::size_t>(i)] != i) rest.push_back(i);
  return rest;
}

void write_duplicate_pairs(const std::string& path, const std::vector<FoundPair>& pairs,
                           const data::Dataset& dataset) {
  data::AtomicFile file(path);
  file.write(
      "kind,by,similarity,distance,cosine,index_a,identity_a,sample_a,index_b,identity_b,"
      "sample_b\n");
  for (const auto& pair : pairs)
    file.write(fmt::format(
        "{},{},{},{}\n", dataset.label(pair.a) == dataset.label(pair.b) ? "near" : "across",
        finding_fields(pair), sample_fields(dataset, pair.a), sample_fields(dataset, pair.b)));
  file.commit();
}

void write_leak_pairs(const std::string& path, const std::vector<FoundPair>& pairs,
                      const data::Dataset& dataset,
                      const std::function<std::string(std::int64_t)>& describe_test) {
  data::AtomicFile file(path);
  file.write("by,similarity,distance,cosine,index,identity,sample,test_image\n");
  for (const auto& pair : pairs)
    file.write(fmt::format("{},{},{}\n", finding_fields(pair), sample_fields(dataset, pair.a),
                           csv_field(describe_test(pair.b))));
  file.commit();
}

std::int64_t write_rest(const std::string& path, const std::vector<Dropped>& lists,
                        const std::string& method, double threshold, const data::Dataset& dataset) {
  prune::IndexSet set;
  set.dataset_fingerprint = dataset.fingerprint();
  set.num_samples = dataset.size();
  set.method = method;
  set.threshold = threshold;
  set.reasons.assign(static_cast<std::size_t>(dataset.size()), prune::Reason::kKept);
  for (const auto& list : lists)
    for (const std::int64_t sample : list.samples)
      if (auto& reason = set.reasons[static_cast<std::size_t>(sample)];
          reason == prune::Reason::kKept)
        reason = list.reason;
  for (std::int64_t i = 0; i < dataset.size(); ++i)
    if (prune::is_kept(set.reasons[static_cast<std::size_t>(i)])) set.kept.push_back(i);
  if (set.kept.empty()) throw data::DataError(path + ": not written, because no sample is left");
  set.label_map = data::dense_label_map(dataset, set.kept);
  if (const auto whole = whole_numbers(dataset)) {
    prune::KeptOfWhole of_whole{whole->fingerprint,
                                whole->num_samples,
                                {},
                                prune::label_map_of_whole(*whole, set.label_map)};
    for (const std::int64_t sample : set.kept)
      of_whole.kept.push_back(whole->indices[static_cast<std::size_t>(sample)]);
    set.whole = std::move(of_whole);
  }
  prune::write_index_set(path, set);
  return static_cast<std::int64_t>(set.kept.size());
}

}  // namespace diffprob::launch

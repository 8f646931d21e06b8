#include "launch/duplicates/pair_files.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <numeric>

#include "data/error.h"
#include "data/files/atomic_file.h"
#include "data/sets/label_map.h"
#include "launch/inputs/kept_list.h"
#include "prune/lists/index_set.h"

namespace diffprob::launch {
namespace {

/// A field of a CSV file (RFC 4180).
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string sample_fields(const data::Dataset& dataset, std::int64_t index) {
  return fmt::format("{},{},{}", index, dataset.label(index), quoted(dataset.describe(index)));
}

}  // namespace

std::vector<std::int64_t> all_but_first(const std::vector<ImagePair>& pairs, std::int64_t size) {
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

void write_duplicate_pairs(const std::string& path, const std::vector<ImagePair>& pairs,
                           const data::Dataset& dataset) {
  data::AtomicFile file(path);
  file.write("kind,similarity,distance,index_a,identity_a,sample_a,index_b,identity_b,sample_b\n");
  for (const auto& pair : pairs)
    file.write(fmt::format("{},{:.4f},{},{},{}\n",
                           dataset.label(pair.a) == dataset.label(pair.b) ? "near" : "across",
                           pair.similarity, pair.distance, sample_fields(dataset, pair.a),
                           sample_fields(dataset, pair.b)));
  file.commit();
}

void write_leak_pairs(const std::string& path, const std::vector<ImagePair>& pairs,
                      const data::Dataset& dataset,
                      const std::function<std::string(std::int64_t)>& describe_test) {
  data::AtomicFile file(path);
  file.write("similarity,distance,index,identity,sample,test_image\n");
  for (const auto& pair : pairs)
    file.write(fmt::format("{:.4f},{},{},{}\n", pair.similarity, pair.distance,
                           sample_fields(dataset, pair.a), quoted(describe_test(pair.b))));
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

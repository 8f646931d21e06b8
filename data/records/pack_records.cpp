#include "data/records/pack_records.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/error.h"
#include "data/random/keyed_random.h"
#include "data/records/record_io.h"
#include "data/sets/label_map.h"

namespace diffprob::data {
namespace {

constexpr int kImageSize = 112;

/// Sample indices by label, equal labels in the order of the set.
std::vector<std::int64_t> by_label(const Dataset& dataset) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return dataset.label(a) < dataset.label(b); });
  return order;
}

void add_images(const Dataset& dataset, const std::vector<std::int64_t>& order,
                RecordWriter& writer) {
  std::vector<std::byte> bytes;
  for (const auto index : order) {
    dataset.read(index, bytes);
    writer.add(dataset.label(index), bytes);
  }
}

std::string label_map_text(const std::vector<std::int64_t>& label_map) {
  std::string text = "{";
  for (std::size_t old = 0; old < label_map.size(); ++old)
    if (label_map[old] >= 0)
      text += (text.size() == 1 ? "" : ", ") + std::to_string(old) + ": " +
              std::to_string(label_map[old]);
  return text + "}\n";
}

/// Order in which the samples are written.
std::vector<std::int64_t> written_order(const Dataset& dataset, const PackOptions& options) {
  if (options.layout == RecordLayout::kInsightFace) return by_label(dataset);
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), 0);
  if (!options.shuffle_seed.has_value()) return order;
  KeyedRandom random(*options.shuffle_seed);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(random.below(i))]);
  return order;
}

std::string lines_of(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (const auto number : numbers) text += std::to_string(number) + "\n";
  return text;
}

}  // namespace

PackedSet pack_records(const Dataset& dataset, const std::string& folder,
                       const PackOptions& options) {
  const auto order = written_order(dataset, options);
  RecordWriter writer(folder, kImageSize, options.layout);
  if (options.shuffle_seed.has_value()) writer.add_companion("source_index.txt", lines_of(order));
  add_images(dataset, order, writer);
  writer.finish();
  return {dataset.size(), dataset.num_classes()};
}

PackedSet pack_subset(std::shared_ptr<const Dataset> dataset, const std::vector<std::int64_t>& kept,
                      std::vector<std::int64_t> label_map, const std::string& folder,
                      const PackOptions& options) {
  if (kept.empty())
    throw DataError(folder + ": the subset keeps no sample; there is nothing to pack");
  if (label_map.empty()) label_map = dense_label_map(*dataset, kept);
  const Subset subset(std::move(dataset), kept, label_map);
  const auto order = written_order(subset, options);
  std::vector<std::int64_t> source(order);
  for (auto& index : source) index = subset.parent_index(index);
  RecordWriter writer(folder, kImageSize, options.layout);
  writer.add_companion("label_map.txt", label_map_text(label_map));
  writer.add_companion("source_index.txt", lines_of(source));
  add_images(subset, order, writer);
  writer.finish();
  return {subset.size(), subset.num_classes()};
}

PackedSet pack_relabelled(const Dataset& dataset, const std::vector<std::int64_t>& label_map,
                          const std::string& folder, const PackOptions& options) {
  const auto order = written_order(dataset, options);
  RecordWriter writer(folder, kImageSize, options.layout);
  writer.add_companion("label_map.txt", label_map_text(label_map));
  writer.add_companion("source_index.txt", lines_of(order));
  add_images(dataset, order, writer);
  writer.finish();
  return {dataset.size(), dataset.num_classes()};
}

}  // namespace diffprob::data

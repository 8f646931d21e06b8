#include "data/records/pack_records.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/error.h"
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

std::string source_index_text(const Subset& subset, const std::vector<std::int64_t>& order) {
  std::string text;
  for (const auto index : order) text += std::to_string(subset.parent_index(index)) + "\n";
  return text;
}

}  // namespace

PackedSet pack_records(const Dataset& dataset, const std::string& folder) {
  RecordWriter writer(folder, kImageSize);
  add_images(dataset, by_label(dataset), writer);
  writer.finish();
  return {dataset.size(), dataset.num_classes()};
}

PackedSet pack_subset(std::shared_ptr<const Dataset> dataset, const std::vector<std::int64_t>& kept,
                      std::vector<std::int64_t> label_map, const std::string& folder) {
  if (kept.empty())
    throw DataError(folder + ": the subset keeps no sample; there is nothing to pack");
  if (label_map.empty()) label_map = dense_label_map(*dataset, kept);
  const Subset subset(std::move(dataset), kept, label_map);
  const auto order = by_label(subset);
  RecordWriter writer(folder, kImageSize);
  writer.add_companion("label_map.txt", label_map_text(label_map));
  writer.add_companion("source_index.txt", source_index_text(subset, order));
  add_images(subset, order, writer);
  writer.finish();
  return {subset.size(), subset.num_classes()};
}

}  // namespace diffprob::data

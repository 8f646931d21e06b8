#include "data/sets/dataset.h"

#include <algorithm>
#include <utility>

#include "data/error.h"
#include "data/files/sha256.h"

namespace diffprob::data {
namespace {

constexpr std::int64_t kMostSamples = std::int64_t{1} << 32;
constexpr std::size_t kDigestBlock = 4096;

void check_indices(const Dataset& parent, const std::vector<std::int64_t>& indices) {
  if (parent.size() > kMostSamples)
    throw DataError("subset of " + std::to_string(parent.size()) + " samples; at most " +
                    std::to_string(kMostSamples) + " are supported");
  std::vector<bool> seen(static_cast<std::size_t>(parent.size()));
  for (const auto index : indices) {
    if (index < 0 || index >= parent.size())
      throw DataError("subset: index " + std::to_string(index) + " is not below " +
                      std::to_string(parent.size()));
    if (seen[static_cast<std::size_t>(index)])
      throw DataError("subset: index " + std::to_string(index) + " appears twice");
    seen[static_cast<std::size_t>(index)] = true;
  }
}

void check_labels(const Dataset& parent, const std::vector<std::int64_t>& indices,
                  const std::vector<std::int64_t>& label_map) {
  if (static_cast<std::int64_t>(label_map.size()) != parent.num_classes())
    throw DataError("subset: a label map of " + std::to_string(label_map.size()) + " for " +
                    std::to_string(parent.num_classes()) + " classes");
  for (std::size_t old = 0; old < label_map.size(); ++old)
    if (label_map[old] < -1 || label_map[old] >= parent.num_classes())
      throw DataError("subset: label " + std::to_string(old) + " maps to " +
                      std::to_string(label_map[old]));
  for (const auto index : indices)
    if (label_map[static_cast<std::size_t>(parent.label(index))] < 0)
      throw DataError("subset: " + parent.describe(index) + " is kept, but its label " +
                      std::to_string(parent.label(index)) + " has no mapping");
}

}  // namespace

Subset::Subset(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices,
               std::vector<std::int64_t> label_map)
    : parent_(std::move(parent)), label_map_(std::move(label_map)) {
  check_indices(*parent_, indices);
  indices_.assign(indices.begin(), indices.end());
  num_classes_ = parent_->num_classes();
  if (label_map_.empty()) return;
  check_labels(*parent_, indices, label_map_);
  num_classes_ = *std::ranges::max_element(label_map_) + 1;
}

std::int64_t Subset::size() const {
  return static_cast<std::int64_t>(indices_.size());
}

std::int64_t Subset::num_classes() const {
  return num_classes_;
}

std::int64_t Subset::parent_index(std::int64_t index) const {
  if (index < 0 || index >= size())
    throw DataError("subset: sample " + std::to_string(index) + " of " + std::to_string(size()));
  return indices_[static_cast<std::size_t>(index)];
}

std::int64_t Subset::label(std::int64_t index) const {
  const auto old = parent_->label(parent_index(index));
  return label_map_.empty() ? old : label_map_[static_cast<std::size_t>(old)];
}

void Subset::read(std::int64_t index, std::vector<std::byte>& bytes) const {
  parent_->read(parent_index(index), bytes);
}

std::string Subset::describe(std::int64_t index) const {
  return parent_->describe(parent_index(index));
}

std::string Subset::fingerprint() const {
  Sha256 digest;
  digest.update("subset of " + parent_->fingerprint());
  digest.update(size());
  digest.update(num_classes_);
  // As 64-bit numbers, block by block: a digest call a number would take seconds for the largest
  // sets.
  std::vector<std::int64_t> block;
  for (std::size_t at = 0; at < indices_.size(); at += kDigestBlock) {
    const auto part = std::span(indices_).subspan(at, std::min(kDigestBlock, indices_.size() - at));
    block.assign(part.begin(), part.end());
    digest.update(std::as_bytes(std::span(block)));
  }
  digest.update(std::as_bytes(std::span(label_map_)));
  return digest.hex();
}

std::string with_image(const Dataset& dataset, std::int64_t index, const std::string& reason) {
  const auto in_front = [](const std::string& what, const std::string& text) {
    return what.empty() || text.find(what) != std::string::npos ? text : what + ": " + text;
  };
  return in_front(dataset.folder(), in_front(dataset.describe(index), reason));
}

}  // namespace diffprob::data

#include "data/sets/concatenated_dataset.h"

#include <algorithm>
#include <utility>

#include "data/error.h"
#include "data/files/sha256.h"
#include "data/sets/class_count.h"

namespace diffprob::data {

ConcatenatedDataset::ConcatenatedDataset(std::vector<Part> parts) : parts_(std::move(parts)) {
  if (parts_.empty()) throw DataError("concatenated data set: no parts");
  std::int64_t samples = 0;
  std::int64_t classes = 0;
  for (const auto& part : parts_) {
    sample_ends_.push_back(samples += part.dataset->size());
    class_ends_.push_back(classes += part.dataset->num_classes());
  }
  if (classes > kMostClasses)
    throw DataError("concatenated data set: " + std::to_string(classes) +
                    " classes in total, at most " + std::to_string(kMostClasses) +
                    " are supported");
}

ConcatenatedDataset::Place ConcatenatedDataset::place_of(std::int64_t index) const {
  if (index < 0 || index >= size())
    throw DataError("concatenated data set: sample " + std::to_string(index) + " of " +
                    std::to_string(size()));
  const auto part = static_cast<std::size_t>(std::ranges::upper_bound(sample_ends_, index) -
                                             sample_ends_.begin());
  return {part, part == 0 ? index : index - sample_ends_[part - 1]};
}

std::int64_t ConcatenatedDataset::label(std::int64_t index) const {
  const auto [part, inside] = place_of(index);
  return parts_[part].dataset->label(inside) + (part == 0 ? 0 : class_ends_[part - 1]);
}

void ConcatenatedDataset::read(std::int64_t index, std::vector<std::byte>& bytes) const {
  const auto [part, inside] = place_of(index);
  parts_[part].dataset->read(inside, bytes);
}

std::optional<std::int64_t> ConcatenatedDataset::encoded_bytes(std::int64_t index) const {
  const auto [part, inside] = place_of(index);
  return parts_[part].dataset->encoded_bytes(inside);
}

std::string ConcatenatedDataset::describe(std::int64_t index) const {
  const auto [part, inside] = place_of(index);
  return parts_[part].name + ": " + parts_[part].dataset->describe(inside);
}

std::string ConcatenatedDataset::fingerprint() const {
  Sha256 digest;
  digest.update("concatenated sets");
  digest.update(static_cast<std::int64_t>(parts_.size()));
  for (const auto& part : parts_) digest.update(part.dataset->fingerprint());
  return digest.hex();
}

LeftOut ConcatenatedDataset::left_out() const {
  LeftOut all;
  for (const Part& part : parts_) {
    const LeftOut of_part = part.dataset->left_out();
    if (all.count == 0) all.first = of_part.first;
    all.count += of_part.count;
  }
  return all;
}

}  // namespace diffprob::data

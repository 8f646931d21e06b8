#include "data/sets/relabelled.h"

#include <span>
#include <utility>

#include "data/error.h"
#include "data/files/sha256.h"

namespace diffprob::data {

Relabelled::Relabelled(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> labels,
                       std::int64_t num_classes)
    : parent_(std::move(parent)), labels_(std::move(labels)), num_classes_(num_classes) {
  if (static_cast<std::int64_t>(labels_.size()) != parent_->size())
    throw DataError("new labels of " + std::to_string(labels_.size()) + " samples for a set of " +
                    std::to_string(parent_->size()));
  for (const std::int64_t label : labels_)
    if (label < 0 || label >= num_classes)
      throw DataError("new label " + std::to_string(label) + ", expected 0 to " +
                      std::to_string(num_classes - 1));
}

std::int64_t Relabelled::label(std::int64_t index) const {
  if (index < 0 || index >= size())
    throw DataError("sample " + std::to_string(index) + " of " + std::to_string(size()));
  return labels_[static_cast<std::size_t>(index)];
}

std::string Relabelled::fingerprint() const {
  Sha256 digest;
  digest.update("new labels of " + parent_->fingerprint());
  digest.update(num_classes_);
  digest.update(std::as_bytes(std::span(labels_)));
  return digest.hex();
}

}  // namespace diffprob::data

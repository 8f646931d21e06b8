#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace diffprob::data {

/// The samples of another set under other labels. Holds 8 bytes per sample.
class Relabelled final : public Dataset {
 public:
  /// labels: [parent->size()], each label from 0 to num_classes - 1. Throws DataError otherwise.
  Relabelled(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> labels,
             std::int64_t num_classes);
  [[nodiscard]] std::int64_t size() const override { return parent_->size(); }
  [[nodiscard]] std::int64_t num_classes() const override { return num_classes_; }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override;
  void read(std::int64_t index, std::vector<std::byte>& bytes) const override {
    parent_->read(index, bytes);
  }
  [[nodiscard]] std::optional<std::int64_t> encoded_bytes(std::int64_t index) const override {
    return parent_->encoded_bytes(index);
  }
  [[nodiscard]] std::string describe(std::int64_t index) const override {
    return parent_->describe(index);
  }
  [[nodiscard]] std::string folder() const override { return parent_->folder(); }
  [[nodiscard]] std::string fingerprint() const override;

 private:
  std::shared_ptr<const Dataset> parent_;
  std::vector<std::int64_t> labels_;
  std::int64_t num_classes_;
};

}  // namespace diffprob::data

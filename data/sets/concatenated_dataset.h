#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/sets/dataset.h"

namespace diffprob::data {

/// Several sets one behind the other, as one set of different people: labels of a set are raised by
/// the number of classes before it.
class ConcatenatedDataset final : public Dataset {
 public:
  struct Part {
    std::string name;  ///< put before what the set says of a sample: usually its path
    std::shared_ptr<const Dataset> dataset;
  };

  /// At least one part. Throws DataError, also when there are more than 2^31 classes in all.
  explicit ConcatenatedDataset(std::vector<Part> parts);
  [[nodiscard]] std::int64_t size() const override { return sample_ends_.back(); }
  [[nodiscard]] std::int64_t num_classes() const override { return class_ends_.back(); }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override;
  void read(std::int64_t index, std::vector<std::byte>& bytes) const override;
  [[nodiscard]] std::optional<std::int64_t> encoded_bytes(std::int64_t index) const override;
  [[nodiscard]] std::string describe(std::int64_t index) const override;
  /// Of the parts' fingerprints in their order; names do not count.
  [[nodiscard]] std::string fingerprint() const override;
  /// Of all parts together.
  [[nodiscard]] LeftOut left_out() const override;

 private:
  struct Place {
    std::size_t part;
    std::int64_t index;  // in the part
  };
  [[nodiscard]] Place place_of(std::int64_t index) const;

  std::vector<Part> parts_;
  std::vector<std::int64_t> sample_ends_;
  std::vector<std::int64_t> class_ends_;
};

}  // namespace diffprob::data

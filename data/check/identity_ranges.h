#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data/check/layout_check.h"
#include "data/records/index.h"

namespace diffprob::data {

/// Identity records of the InsightFace layout against the labels of the images that they span.
class IdentityRanges {
 public:
  struct Stranger {
    std::size_t sample;   ///< index into images
    std::uint32_t label;  ///< what most images of the identity have
    std::uint32_t key;    ///< of the identity record
  };

  /// images, ranges: by key; labels [images], kNoLabel where a label is no witness; image keys end
  /// before `first_identity`.
  IdentityRanges(std::span<const RecordEntry> images, std::span<const std::uint32_t> labels,
                 std::span<const RangeRecord> ranges, std::int64_t first_identity);
  /// Ranges outside the images, or with an end that neither the neighbour's range nor the labels
  /// support.
  [[nodiscard]] const std::vector<RangeRecord>& wrong() const noexcept { return wrong_; }
  /// Images inside a supported range with another label than most of it.
  [[nodiscard]] const std::vector<Stranger>& strangers() const noexcept { return strangers_; }

 private:
  [[nodiscard]] bool is_possible(const RangeRecord& range) const;
  /// Index of the first image with that key or a larger one.
  [[nodiscard]] std::size_t at_or_behind(std::int64_t key) const;
  [[nodiscard]] std::uint32_t label_at(std::int64_t key) const;
  /// Label that more than half of the images of a range have; kNoLabel when there is none.
  [[nodiscard]] std::uint32_t majority_label(const RangeRecord& range) const;
  /// Label that the images of a range should have: the number of the identity where (nearly) all
  /// others are numbered so, else the majority's.
  [[nodiscard]] std::uint32_t common_label(const RangeRecord& range) const;
  [[nodiscard]] bool are_numbered() const;
  /// Whether the images themselves say that an identity spans exactly this range.
  [[nodiscard]] bool labels_support(const RangeRecord& range) const;
  void judge(std::size_t i);

  std::span<const RecordEntry> images_;
  std::span<const std::uint32_t> labels_;
  std::span<const RangeRecord> ranges_;
  std::int64_t first_identity_;
  bool numbered_;  ///< identity record c is that of label c
  std::vector<RangeRecord> wrong_;
  std::vector<Stranger> strangers_;
};

}  // namespace diffprob::data

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/check/finding.h"

namespace diffprob::data {

/// Stands for a label that cannot be one.
inline constexpr std::uint32_t kNoLabel = 0xFFFFFFFF;

/// Appends a finding (kEmptyIdentity) for every run of labels below `num_classes` that is not among
/// `labels` [samples]: `label` to `other`. Labels that are no label or beyond num_classes are
/// passed over.
void find_empty_identities(std::vector<std::uint32_t> labels, std::int64_t num_classes,
                           std::vector<Finding>& findings);

/// Where nothing says how many classes there are: one more than the largest label, but labels
/// behind a gap that is longer than the number of samples, and than 65,536, are taken as damage and
/// do not count.
[[nodiscard]] std::int64_t likely_class_count(std::vector<std::uint32_t> labels);

/// One more than the largest label that several samples have: what is written twice in a text is
/// no damage.
[[nodiscard]] std::int64_t repeated_class_count(std::vector<std::uint32_t> labels);

/// The largest number of classes that can be believed: all labels, and such a gap behind the last
/// one.
[[nodiscard]] std::int64_t largest_class_count(std::span<const std::uint32_t> labels);

}  // namespace diffprob::data

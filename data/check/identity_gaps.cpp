#include "data/check/identity_gaps.h"

#include <algorithm>
#include <string>

namespace diffprob::data {
namespace {

constexpr std::int64_t kShortGap = 65536;

std::int64_t longest_gap(std::size_t samples) {
  return std::max(kShortGap, static_cast<std::int64_t>(samples));
}

}  // namespace

void find_empty_identities(std::vector<std::uint32_t> labels, std::int64_t num_classes,
                           std::vector<Finding>& findings) {
  // Time and memory for the labels alone, not for the number of classes: damaged files say
  // billions.
  if (!std::ranges::is_sorted(labels)) std::ranges::sort(labels);
  const auto report = [&](std::int64_t first, std::int64_t last) {
    const auto which = first == last ? "identity " + std::to_string(first) + " has"
                                     : "identities " + std::to_string(first) + " to " +
                                           std::to_string(last) + " have";
    findings.push_back({.kind = FindingKind::kEmptyIdentity,
                        .label = first,
                        .other = last,
                        .message = which + " no image"});
  };
  std::int64_t expected = 0;
  for (const auto label : labels) {
    if (label >= num_classes) break;
    if (label > expected) report(expected, std::int64_t{label} - 1);
    expected = std::int64_t{label} + 1;
  }
  if (expected < num_classes) report(expected, num_classes - 1);
}

std::int64_t repeated_class_count(std::vector<std::uint32_t> labels) {
  std::ranges::sort(labels);
  std::int64_t count = 0;
  for (std::size_t i = 1; i < labels.size() && labels[i] != kNoLabel; ++i)
    if (labels[i] == labels[i - 1]) count = std::int64_t{labels[i]} + 1;
  return count;
}

std::int64_t likely_class_count(std::vector<std::uint32_t> labels) {
  const auto longest = longest_gap(labels.size());
  std::ranges::sort(labels);
  std::int64_t count = 0;
  for (const auto label : labels) {
    if (label == kNoLabel || label - count > longest) break;
    count = std::int64_t{label} + 1;
  }
  return count;
}

std::int64_t largest_class_count(std::span<const std::uint32_t> labels) {
  std::int64_t count = 0;
  for (const auto label : labels)
    if (label != kNoLabel) count = std::max(count, std::int64_t{label} + 1);
  return count + longest_gap(labels.size());
}

}  // namespace diffprob::data

#include "data/identity_gaps.h"

#include <algorithm>
#include <string>

namespace diffprob::data {
namespace {

constexpr std::int64_t kShortGap = 65536;

}  // namespace

void find_empty_identities(const std::vector<std::uint32_t>& labels, std::int64_t num_classes, std::vector<Finding>& findings) {
  std::vector<bool> used(static_cast<std::size_t>(num_classes), false);
  for (const auto label : labels)
    if (label < num_classes) used[label] = true;
  for (std::int64_t first = 0; first < num_classes; ++first) {
    if (used[static_cast<std::size_t>(first)]) continue;
    auto last = first;
    while (last + 1 < num_classes && !used[static_cast<std::size_t>(last + 1)]) ++last;
    const auto which = first == last ? "identity " + std::to_string(first) + " has"
                                     : "identities " + std::to_string(first) + " to " + std::to_string(last) + " have";
    findings.push_back({.kind = FindingKind::kEmptyIdentity, .label = first, .other = last, .message = which + " no image"});
    first = last;
  }
}

std::int64_t likely_class_count(std::vector<std::uint32_t> labels) {
  const auto longest = std::max(kShortGap, static_cast<std::int64_t>(labels.size()));
  std::ranges::sort(labels);
  std::int64_t count = 0;
  for (const auto label : labels) {
    if (label == kNoLabel || label - count > longest) break;
    count = std::int64_t{label} + 1;
  }
  return count;
}

}  // namespace diffprob::data

#include "data/check/identity_ranges.h"

#include <algorithm>
#include <cmath>

#include "data/check/identity_gaps.h"

namespace diffprob::data {

IdentityRanges::IdentityRanges(std::span<const RecordEntry> images,
                               std::span<const std::uint32_t> labels,
                               std::span<const RangeRecord> ranges, std::int64_t first_identity)
    : images_(images),
      labels_(labels),
      ranges_(ranges),
      first_identity_(first_identity),
      numbered_(are_numbered()) {
  for (std::size_t i = 0; i < ranges.size(); ++i)
    if (ranges[i].key >= first_identity) judge(i);
}

bool IdentityRanges::is_possible(const RangeRecord& range) const {
  return range.first == std::floor(range.first) && range.last == std::floor(range.last) &&
         range.first >= 1 && range.first <= range.last &&
         range.last <= static_cast<float>(first_identity_);
}

std::size_t IdentityRanges::at_or_behind(std::int64_t key) const {
  return static_cast<std::size_t>(
      std::ranges::lower_bound(images_, key, {},
                               [](const RecordEntry& e) { return std::int64_t{e.key}; }) -
      images_.begin());
}

std::uint32_t IdentityRanges::label_at(std::int64_t key) const {
  const auto i = at_or_behind(key);
  return i < images_.size() && images_[i].key == key ? labels_[i] : kNoLabel;
}

std::uint32_t IdentityRanges::majority_label(const RangeRecord& range) const {
  // Boyer-Moore: the label that more than half have, if there is one.
  std::uint32_t candidate = kNoLabel;
  std::int64_t lead = 0;
  for (auto i = at_or_behind(static_cast<std::int64_t>(range.first));
       i < images_.size() && images_[i].key < range.last; ++i) {
    if (labels_[i] == kNoLabel) continue;
    if (lead == 0) candidate = labels_[i];
    lead += labels_[i] == candidate ? 1 : -1;
  }
  return lead > 0 ? candidate : kNoLabel;
}

bool IdentityRanges::are_numbered() const {
  std::int64_t judged = 0;
  std::int64_t agree = 0;
  for (const auto& range : ranges_) {
    if (range.key < first_identity_ || !is_possible(range) || range.first == range.last) continue;
    ++judged;
    if (majority_label(range) == range.key - first_identity_) ++agree;
  }
  return agree > 0 && agree * 10 >= judged * 7;
}

std::uint32_t IdentityRanges::common_label(const RangeRecord& range) const {
  return numbered_ ? static_cast<std::uint32_t>(range.key - first_identity_)
                   : majority_label(range);
}

bool IdentityRanges::labels_support(const RangeRecord& range) const {
  const auto first = static_cast<std::int64_t>(range.first);
  const auto last = static_cast<std::int64_t>(range.last);
  const auto common = common_label(range);
  if (common == kNoLabel || label_at(first - 1) == common || label_at(last) == common) return false;
  for (auto i = at_or_behind(first); i < images_.size() && images_[i].key < last; ++i)
    if (labels_[i] != kNoLabel && labels_[i] != common) return false;
  return true;
}

void IdentityRanges::judge(std::size_t i) {
  const auto& range = ranges_[i];
  if (!is_possible(range)) return wrong_.push_back(range);
  const auto is_neighbour = [&](std::size_t j) {
    return ranges_[j].key + 1 == range.key || ranges_[j].key == range.key + 1;
  };
  const bool has_before = i > 0 && is_neighbour(i - 1) && ranges_[i - 1].key >= first_identity_;
  const bool has_behind = i + 1 < ranges_.size() && is_neighbour(i + 1);
  const bool begins = has_before ? ranges_[i - 1].last == range.first
                                 : range.key == first_identity_ && range.first == 1;
  const bool ends =
      has_behind ? ranges_[i + 1].first == range.last
                 : i + 1 == ranges_.size() && range.last == static_cast<float>(first_identity_);
  const bool empty = range.first == range.last;
  if (!(begins && ends) && !(empty ? begins || ends : labels_support(range)))
    return wrong_.push_back(range);
  const auto common = common_label(range);
  if (common == kNoLabel) return;
  for (auto k = at_or_behind(static_cast<std::int64_t>(range.first));
       k < images_.size() && images_[k].key < range.last; ++k)
    if (labels_[k] != kNoLabel && labels_[k] != common)
      strangers_.push_back({k, common, range.key});
}

}  // namespace diffprob::data

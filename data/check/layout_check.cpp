#include "data/check/layout_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "data/check/identity_gaps.h"
#include "data/check/identity_ranges.h"
#include "data/error.h"
#include "data/files/text_lines.h"
#include "data/records/format.h"
#include "data/sets/class_count.h"

namespace diffprob::data {
namespace {

std::string keys_text(std::int64_t first, std::int64_t last) {
  return first == last ? "key " + std::to_string(first) + " is"
                       : "keys " + std::to_string(first) + " to " + std::to_string(last) + " are";
}

/// -1 for what is no whole number or too large for a key.
std::int64_t whole(float value) {
  return value >= 0 && value < 0x1p33f && value == std::floor(value)
             ? static_cast<std::int64_t>(value)
             : -1;
}

class LayoutCheck {
 public:
  LayoutCheck(const RecordSet& set, std::vector<Finding>& findings)
      : set_(set), findings_(findings), lost_without_key_(set.lost_without_key) {
    for (const auto& image : set.images) labels_.push_back(image.label);
  }

  std::int64_t run() {
    const bool header = !set_.ranges.empty() && set_.ranges[0].key == 0;
    if (set_.images.empty()) add_layout(-1, -1, "no images");
    if (header) check_insightface();
    if (!header && !set_.ranges.empty()) check_without_header();
    const auto classes = count_classes(read_property_file());
    check_labels(classes);
    if (identities_.has_value()) check_against_ranges();
    find_empty_identities(std::move(labels_), classes, findings_);
    return classes;
  }

 private:
  void add_layout(std::int64_t key, std::int64_t offset, std::string message) {
    findings_.push_back({.kind = FindingKind::kLayout,
                         .key = key,
                         .offset = offset,
                         .message = std::move(message)});
  }
  [[nodiscard]] bool is_lost(std::int64_t key) const {
    return std::ranges::binary_search(set_.lost_keys, key);
  }
  /// Whether all of [first, end) are records that are reported as broken. Those without a known key
  /// explain each key once.
  bool explained(std::int64_t first, std::int64_t end) {
    std::int64_t unknown = 0;
    for (auto key = first; key < end; ++key) {
      if (!is_lost(key) && ++unknown > lost_without_key_) return false;
    }
    lost_without_key_ -= unknown;
    return true;
  }

  /// Without a header under key 0 these are no identities: a set of images of which some lost
  /// theirs, or one that lost its header.
  void check_without_header() {
    const bool plain_images = !set_.images.empty() && set_.images[0].key == 0;
    if (plain_images) {
      for (const auto& range : set_.ranges)
        findings_.push_back({.kind = FindingKind::kRecord,
                             .key = range.key,
                             .offset = range.offset,
                             .message = "no image bytes"});
    } else if (!is_lost(0)) {
      add_layout(0, -1,
                 std::to_string(set_.ranges.size()) +
                     " records without an image, but no header record under key 0 (InsightFace "
                     "layout with a missing header?)");
    }
  }

  void check_insightface() {
    const auto& header = set_.ranges[0];
    const auto identities = set_.ranges.subspan(1);
    const std::int64_t middle = set_.images.empty() ? 0 : set_.images[set_.images.size() / 2].key;
    const auto first = std::ranges::find_if(
        identities, [&](const RangeRecord& range) { return range.key > middle; });
    first_identity_ = first != identities.end() ? std::int64_t{first->key}
                      : set_.images.empty()     ? 1
                                                : std::int64_t{set_.images.back().key} + 1;
    const auto last =
        first != identities.end() ? std::int64_t{identities.back().key} : first_identity_ - 1;
    check_header(header, last);
    for (auto range = identities.begin(); range != first; ++range)
      add_layout(range->key, range->offset,
                 "an identity record among the keys of images (below " +
                     std::to_string(first_identity_) + ")");
    report_missing();
  }

  /// The header's two numbers, as far as float32 can hold them.
  void check_header(const RangeRecord& header, std::int64_t last) {
    const auto first = whole(header.first);
    const auto end = whole(header.last);
    const bool first_ok =
        header.first == static_cast<float>(first_identity_) ||
        (first >= 1 && first < first_identity_ && explained(first, first_identity_));
    if (!first_ok)
      add_layout(0, header.offset,
                 "the header record says that identities start at key " +
                     std::to_string(header.first) + ", but they start at key " +
                     std::to_string(first_identity_));
    else if (first >= 1 && first < first_identity_ && first_identity_ < kExactFloats)
      first_identity_ = first;
    const bool end_ok =
        header.last == static_cast<float>(last + 1) || (end > last + 1 && explained(last + 1, end));
    if (!end_ok)
      add_layout(0, header.offset,
                 "the header record says that the last identity has the key just before " +
                     std::to_string(header.last) + ", but it has key " + std::to_string(last));
    identities_ =
        (end_ok && end > last + 1 && end < kExactFloats ? end : last + 1) - first_identity_;
  }

  /// Keys 1 .. first_identity - 1 are images, those behind are identities; what else there is, and
  /// what is not.
  void report_missing() {
    std::int64_t expected = 1;
    for (const auto& image : set_.images) {
      if (image.key >= first_identity_) {
        findings_.push_back({.kind = FindingKind::kIndex,
                             .key = image.key,
                             .offset = image.offset,
                             .message = "an image under key " + std::to_string(image.key) +
                                        ", where identity records are expected (starting at key " +
                                        std::to_string(first_identity_) + " on)"});
        continue;
      }
      report_missing_run(expected, image.key, "an image");
      expected = std::int64_t{image.key} + 1;
    }
    report_missing_run(expected, first_identity_, "an image");
    expected = first_identity_;
    for (const auto& range : set_.ranges.subspan(1)) {
      if (range.key < first_identity_) continue;
      report_missing_run(expected, range.key, "an identity record");
      expected = std::int64_t{range.key} + 1;
    }
  }

  void report_missing_run(std::int64_t first, std::int64_t end, const char* what) {
    while (first < end && is_lost(first)) ++first;
    if (first >= end || explained(first, end)) return;
    auto last = end - 1;
    while (is_lost(last)) --last;
    add_layout(first, -1, keys_text(first, last) + " missing, " + what + " is expected there");
  }

  /// By the identity records, else the property file, else the labels. Keys of identity records and
  /// the property file may be damaged: a number far beyond all labels and records is not believed.
  std::int64_t count_classes(std::optional<std::int64_t> announced) {
    if (announced.has_value() && identities_.has_value() && *announced != *identities_)
      add_layout(-1, -1,
                 "the property file says " + std::to_string(*announced) +
                     " classes, but the records have " + std::to_string(*identities_) +
                     " identities");
    const auto records = static_cast<std::int64_t>(set_.ranges.size() + set_.lost_keys.size()) +
                         set_.lost_without_key;
    const auto most = largest_class_count(labels_) + records;
    if (identities_.has_value() && *identities_ <= most) return *identities_;
    if (announced.has_value() && *announced <= most) return *announced;
    if (announced.has_value() && !identities_.has_value())
      add_layout(-1, -1,
                 "the property file says " + std::to_string(*announced) +
                     " classes, far more than the labels of the images");
    return likely_class_count(labels_);
  }

  /// First line `num_classes[,height,width]`.
  std::optional<std::int64_t> read_property_file() {
    try {
      const auto classes = read_property(set_.folder);
      if (classes.has_value() && set_.image_size > 0) check_property_size();
      return classes;
    } catch (const DataError& error) {
      add_layout(-1, -1, error.what());
      return std::nullopt;
    }
  }

  void check_property_size() {
    TextLines file((std::filesystem::path(set_.folder) / "property").string());
    const std::string line(file.next() ? file.text() : std::string_view());
    std::array<int, 2> sides{};
    if (std::sscanf(line.c_str(), "%*[0-9],%d,%d", &sides[0], &sides[1]) != 2) return;
    if (sides[0] != set_.image_size || sides[1] != set_.image_size)
      add_layout(-1, -1,
                 "the property file announces images of " + std::to_string(sides[0]) + " x " +
                     std::to_string(sides[1]) + " pixels, expected " +
                     std::to_string(set_.image_size) + " x " + std::to_string(set_.image_size));
  }

  void add_label(std::size_t i, std::string message) {
    const auto& image = set_.images[i];
    findings_.push_back({.kind = FindingKind::kLabel,
                         .index = static_cast<std::int64_t>(i),
                         .key = image.key,
                         .offset = image.offset,
                         .label = image.label,
                         .message = std::move(message)});
    labels_[i] = kNoLabel;
  }

  void check_labels(std::int64_t classes) {
    for (std::size_t i = 0; i < labels_.size(); ++i)
      if (labels_[i] != kNoLabel && labels_[i] >= classes)
        add_label(i, "label " + std::to_string(labels_[i]) + " is out of range; the set has " +
                         std::to_string(classes) + " classes");
  }

  void check_against_ranges() {
    if (first_identity_ >= kExactFloats) return;  // the ranges are rounded
    const auto images = set_.images;
    const IdentityRanges ranges(images, labels_, set_.ranges.subspan(1), first_identity_);
    for (const auto& range : ranges.wrong())
      add_layout(range.key, range.offset,
                 "the identity record says keys " + std::to_string(range.first) + " to " +
                     std::to_string(range.last) +
                     " (one past the last), which contradicts both its neighbours and the labels "
                     "of the images");
    for (const auto& [sample, label, key] : ranges.strangers())
      add_label(sample, "label " + std::to_string(labels_[sample]) +
                            ", but the identity record of key " + std::to_string(key) +
                            " assigns the image to label " + std::to_string(label));
  }

  const RecordSet& set_;
  std::vector<Finding>& findings_;
  std::vector<std::uint32_t> labels_;  // [images]; kNoLabel for what is reported
  std::int64_t lost_without_key_;
  std::int64_t first_identity_ = 0;
  std::optional<std::int64_t> identities_;  // of the InsightFace layout
};

}  // namespace

std::int64_t check_layout(const RecordSet& set, std::vector<Finding>& findings) {
  return LayoutCheck(set, findings).run();
}

}  // namespace diffprob::data

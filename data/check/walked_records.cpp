#include "data/check/walked_records.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "data/check/identity_gaps.h"
#include "data/records/format.h"
#include "data/sets/class_count.h"

namespace diffprob::data {
namespace {

constexpr std::uint32_t kLargestKey = std::numeric_limits<std::uint32_t>::max();

template <typename T>
T load(std::span<const std::byte> bytes, std::int64_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

}  // namespace

void RecordCheck::check(const RecordBlock::Record& record, WalkedRecords& out) {
  const auto payload = record.payload;
  const auto bytes = static_cast<std::int64_t>(payload.size());
  const auto add = [&](FindingKind kind, std::string message) {
    out.findings.push_back({.kind = kind, .offset = record.offset, .message = std::move(message)});
  };
  if (bytes < kImageHeaderBytes)
    return add(FindingKind::kRecord,
               "a payload of " + std::to_string(bytes) + " bytes has no image header (24 bytes)");
  const auto flag = load<std::uint32_t>(payload, 0);
  const auto id = load<std::uint64_t>(payload, 8);
  const auto key = static_cast<std::uint32_t>(std::min<std::uint64_t>(id, kLargestKey));
  const auto image_offset = kImageHeaderBytes + 4 * std::int64_t{flag};
  if (image_offset > bytes)
    return add(FindingKind::kRecord, std::to_string(flag) +
                                         " labels are announced, but the record has " +
                                         std::to_string(bytes) + " bytes");
  const auto label_at = [&](std::int64_t i) {
    return load<float>(payload, kImageHeaderBytes + 4 * i);
  };
  if (image_offset == bytes) {
    if (flag != 2) return add(FindingKind::kRecord, "no image bytes");
    out.ranges.push_back({record.offset, key, label_at(0), label_at(1)});
    return;
  }
  RecordEntry entry{record.offset, key, kNoLabel};
  const auto value = flag == 0 ? load<float>(payload, 4) : label_at(0);
  const bool labelled = whole_label(value, entry.label);
  if (!labelled)
    add(FindingKind::kLabel,
        "label " + std::to_string(value) + " is not a whole number from 0 to 2147483647");
  out.images.push_back(entry);
  const auto encoded = payload.subspan(static_cast<std::size_t>(image_offset));
  auto problem = image_check_.problem(encoded);
  if (problem.has_value()) return add(problem->kind, std::move(problem->message));
  if (labelled) out.digests.push_back({image_check_.digest(encoded), record.offset});
}

}  // namespace diffprob::data

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/check/finding.h"
#include "data/records/index.h"

namespace diffprob::data {

/// A record without image bytes, flag 2: header (key 0) or identity of the InsightFace layout.
struct RangeRecord {
  std::int64_t offset;
  std::uint32_t key;
  float first;
  float last;  ///< one past the last
};

/// A .rec as it was found.
struct RecordSet {
  /// Sorted by key; sample i is images[i]. The label kNoLabel means: reported already.
  std::span<const RecordEntry> images;
  std::span<const RangeRecord> ranges;  ///< by key
  std::vector<std::int64_t> lost_keys;  ///< sorted: keys of records that are reported as broken
  std::int64_t lost_without_key = 0;    ///< broken records whose key is not known
  std::string folder;                   ///< of the property file
  int image_size = 0;                   ///< wanted, pixels; 0: any
};

/// Checks what the records say of each other: header, identity records, keys, labels, number of
/// classes, the property file. Appends findings (kLayout, kRecord, kLabel, kEmptyIdentity). Returns
/// the number of classes. Where two things disagree the one that a third supports is believed: a
/// range by its neighbours and by the labels in it, a label by the range around it.
std::int64_t check_layout(const RecordSet& set, std::vector<Finding>& findings);

}  // namespace diffprob::data

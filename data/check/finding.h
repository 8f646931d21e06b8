#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace diffprob::data {

/// What is wrong with a data set or one of its samples.
enum class FindingKind : std::uint8_t {
  kUnreadable,  ///< the file, or a region of it, cannot be read (I/O error, missing file)
  kRecord,      ///< structure of a .rec record: magic number, length, parts, image header
  kIndex,      ///< a line of the .idx, or a record that the .idx does not list or gives another key
  kLayout,     ///< header, identity records, missing keys, property file, a line of a .lst
  kLabel,      ///< not a whole number, out of range, or not that of the identity record
  kCorrupt,    ///< does not decode, or decodes with a warning
  kTruncated,  ///< the encoded image ends early
  kWrongSize,  ///< decodes, to another width or height than wanted
  kDuplicate,  ///< the same bytes as an earlier sample of the identity
  kConflict,   ///< the same bytes as a sample of another identity
  kEmptyIdentity,  ///< a label below the number of classes that no sample has
};
inline constexpr std::size_t kFindingKinds = 11;

/// Names of the kinds as reports have them, in the order of the enumeration.
inline constexpr std::array<const char*, kFindingKinds> kFindingNames = {
    "unreadable", "record",     "index",     "layout",   "label",         "corrupt",
    "truncated",  "wrong_size", "duplicate", "conflict", "empty_identity"};

[[nodiscard]] constexpr const char* name_of(FindingKind kind) noexcept {
  return kFindingNames[static_cast<std::size_t>(kind)];
}

/// One thing that is wrong. Numbers are -1 where they do not apply or are not known.
struct Finding {
  FindingKind kind = FindingKind::kCorrupt;
  std::int64_t index = -1;   ///< sample, from 0, in the order of the data set
  std::int64_t key = -1;     ///< record key
  std::int64_t offset = -1;  ///< in the .rec, bytes
  std::int64_t label = -1;
  std::int64_t other = -1;  ///< copies: index of the first sample with these bytes; identities:
                            ///< last label of a run without images
  std::string message;
};

}  // namespace diffprob::data

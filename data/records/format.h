#pragma once

#include <cstdint>

namespace diffprob::data {

// RecordIO (data/FORMATS.md): parts of u32 magic, u32 (cflag << 29 | length), payload, zeros up to
// a multiple of 4. Little-endian.
inline constexpr std::uint32_t kRecordMagic = 0xCED7230A;
inline constexpr std::uint32_t kLengthBits = 29;
inline constexpr std::uint32_t kLengthMask = (1u << kLengthBits) - 1;
inline constexpr std::int64_t kPartHeadBytes = 8;
/// Image records open with u32 flag, f32 label, u64 id, u64 id2.
inline constexpr std::int64_t kImageHeaderBytes = 24;
/// Bytes by which a record with two labels behind its header is longer than one with the label in
/// it.
inline constexpr std::int64_t kTwoLabelBytes = 8;
/// `id2` of the header record (key 0) of the sets that RecordWriter writes with scalar labels; all
/// others have 0 there, and nobody reads it. The fingerprint of such a set is that of the same set
/// with two labels a record, as this program wrote it before.
inline constexpr std::uint64_t kScalarLabelsMark = 0x316c6c6163736664;  // "dfscall1"
/// float32 holds every whole number below this one.
inline constexpr std::int64_t kExactFloats = std::int64_t{1} << 24;

enum class PartKind : std::uint32_t { kWhole = 0, kStart = 1, kMiddle = 2, kEnd = 3 };

[[nodiscard]] constexpr std::int64_t padded_to_word(std::int64_t length) noexcept {
  return (length + 3) / 4 * 4;
}

}  // namespace diffprob::data

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
/// float32 holds every whole number below this one.
inline constexpr std::int64_t kExactFloats = std::int64_t{1} << 24;

enum class PartKind : std::uint32_t { kWhole = 0, kStart = 1, kMiddle = 2, kEnd = 3 };

[[nodiscard]] constexpr std::int64_t padded_to_word(std::int64_t length) noexcept {
  return (length + 3) / 4 * 4;
}

}  // namespace diffprob::data

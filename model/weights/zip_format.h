#pragma once

#include <cstddef>
#include <cstdint>

namespace diffprob::model {

// The zip format, as of PKWARE's APPNOTE.TXT: bytes of its headers without names and extra fields,
// their first four bytes, and fields that are too wide.
inline constexpr std::size_t kLocalHeader = 30, kCentralHeader = 46, kEnd = 22, kZip64Locator = 20,
                             kZip64End = 56;
inline constexpr std::uint32_t kLocalMagic = 0x04034b50, kCentralMagic = 0x02014b50,
                               kEndMagic = 0x06054b50, kZip64LocatorMagic = 0x07064b50,
                               kZip64EndMagic = 0x06064b50, kDescriptorMagic = 0x08074b50;
/// A 32-bit field that lies in the zip64 extra field instead.
inline constexpr std::uint32_t kInZip64 = 0xffffffffu;

}  // namespace diffprob::model

#pragma once

#include <cstddef>
#include <span>

namespace diffprob::data {

/// Whether a JPEG's picture may have to be turned: an EXIF block before the first scan names an
/// orientation other than 1 (upright), or cannot be understood. False without an EXIF block, and
/// for a block that is silent on it or says 1. (EXIF 2.32, sections 4.5 and 4.6.4, tag 0x0112.)
[[nodiscard]] bool may_need_turning(std::span<const std::byte> jpeg);

}  // namespace diffprob::data

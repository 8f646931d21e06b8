#pragma once

#include <cstddef>
#include <span>

namespace diffprob::data {

/// Whether a JPEG brings every quantisation and Huffman table that it uses (baseline and extended
/// sequential; others: false). libjpeg keeps the tables of one image for the next: a JPEG that lost
/// a table would be decoded with those of whatever was decoded before it, without a word. Reads no
/// byte beyond `encoded`.
[[nodiscard]] bool brings_its_tables(std::span<const std::byte> encoded) noexcept;

}  // namespace diffprob::data

#include "data/images/jpeg_tables.h"

#include <cstdint>

namespace diffprob::data {
namespace {

// ITU-T T.81, table B.1.
constexpr unsigned kSof0 = 0xc0;
constexpr unsigned kSof1 = 0xc1;
constexpr unsigned kDht = 0xc4;
constexpr unsigned kSos = 0xda;
constexpr unsigned kDqt = 0xdb;

using Bytes = std::span<const std::byte>;

unsigned at(Bytes bytes, std::size_t i) {
  return std::to_integer<unsigned>(bytes[i]);
}

unsigned bit(unsigned number) {
  return 1u << (number & 15);
}

/// Bit n: table n. Segments without marker and length, cut short or not.
unsigned quantisation_tables(Bytes segment) {
  unsigned tables = 0;
  for (std::size_t i = 0; i < segment.size();) {
    const bool words = at(segment, i) >> 4 != 0;
    tables |= bit(at(segment, i));
    i += words ? 129 : 65;
  }
  return tables;
}

struct HuffmanTables {
  unsigned dc = 0;
  unsigned ac = 0;
};

void add_huffman_tables(Bytes segment, HuffmanTables& tables) {
  for (std::size_t i = 0; i + 17 <= segment.size();) {
    (at(segment, i) >> 4 == 0 ? tables.dc : tables.ac) |= bit(at(segment, i));
    std::size_t values = 0;
    for (std::size_t k = 1; k <= 16; ++k) values += at(segment, i + k);
    i += 17 + values;
  }
}

/// Of the components of a frame header.
unsigned used_quantisation_tables(Bytes frame) {
  unsigned used = 0;
  for (std::size_t i = 6; i + 3 <= frame.size(); i += 3) used |= bit(at(frame, i + 2));
  return used;
}

HuffmanTables used_huffman_tables(Bytes scan) {
  HuffmanTables used;
  const std::size_t components = scan.empty() ? 0 : at(scan, 0);
  for (std::size_t c = 0; c < components && 2 * c + 2 < scan.size(); ++c) {
    used.dc |= bit(at(scan, 2 * c + 2) >> 4);
    used.ac |= bit(at(scan, 2 * c + 2));
  }
  return used;
}

}  // namespace

bool brings_its_tables(Bytes encoded) noexcept {
  unsigned quantisation = 0;
  unsigned wanted = 0;
  HuffmanTables huffman;
  std::size_t position = 2;
  while (position + 4 <= encoded.size() && at(encoded, position) == 0xff) {
    const unsigned marker = at(encoded, position + 1);
    const std::size_t length = at(encoded, position + 2) << 8 | at(encoded, position + 3);
    if (length < 2 || length > encoded.size() - position - 2) return false;
    const auto segment = encoded.subspan(position + 4, length - 2);
    if (marker == kDqt) quantisation |= quantisation_tables(segment);
    if (marker == kDht) add_huffman_tables(segment, huffman);
    if (marker == kSof0 || marker == kSof1) wanted = used_quantisation_tables(segment);
    if (marker == kSos) {
      const auto used = used_huffman_tables(segment);
      return wanted != 0 && (wanted & ~quantisation) == 0 && (used.dc & ~huffman.dc) == 0 &&
             (used.ac & ~huffman.ac) == 0;
    }
    position += 2 + length;
  }
  return false;
}

}  // namespace diffprob::data

#pragma once

#include <cstddef>
#include <string>

namespace diffprob::model {

/// Appends the bytes of an unsigned number, least significant first on every machine.
template <class Unsigned>
void append_little_endian(std::string& bytes, Unsigned value) {
  for (std::size_t i = 0; i < sizeof(value); ++i)
    bytes += static_cast<char>(value >> (8 * i) & 0xff);
}

}  // namespace diffprob::model

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "model/weights/little_endian.h"

namespace diffprob::model {

/// A protobuf message under construction (https://protobuf.dev/programming-guides/encoding). Fields
/// stand in the order of the calls; a repeated field is a call for each value.
class ProtobufMessage {
 public:
  /// int64, int32 (negative ones too), bool and enums.
  void varint(std::uint32_t field, std::uint64_t value) {
    key(field, kVarint);
    put_varint(value);
  }
  void float64(std::uint32_t field, double value) {
    key(field, kFixed64);
    append_little_endian(encoded_, std::bit_cast<std::uint64_t>(value));
  }
  void float32(std::uint32_t field, float value) {
    key(field, kFixed32);
    append_little_endian(encoded_, std::bit_cast<std::uint32_t>(value));
  }
  /// Strings, bytes, and encoded messages.
  void bytes(std::uint32_t field, std::string_view value) {
    announce(field, value.size());
    encoded_.append(value);
  }
  void message(std::uint32_t field, const ProtobufMessage& value) { bytes(field, value.encoded()); }
  /// The start of a bytes field, whose `size` bytes the caller writes behind encoded().
  void announce(std::uint32_t field, std::uint64_t size) {
    key(field, kBytes);
    put_varint(size);
  }
  [[nodiscard]] const std::string& encoded() const noexcept { return encoded_; }

 private:
  enum WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  void key(std::uint32_t field, WireType type) { put_varint(field << 3 | type); }
  void put_varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) encoded_ += static_cast<char>(0x80 | (value & 0x7f));
    encoded_ += static_cast<char>(value);
  }

  std::string encoded_;
};

}  // namespace diffprob::model

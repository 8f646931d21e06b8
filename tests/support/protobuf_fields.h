#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace diffprob::tests {

/// Takes an encoded message apart: field number -> raw values (varints as numbers, the rest as
/// bytes).
struct ProtobufFields {
  explicit ProtobufFields(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::uint64_t key = varint(bytes);
      const auto field = static_cast<int>(key >> 3);
      const std::size_t length = (key & 7) == 1 ? 8 : (key & 7) == 5 ? 4 : 0;
      if ((key & 7) == 0) {
        numbers.emplace(field, varint(bytes));
      } else {
        const std::size_t size = (key & 7) == 2 ? varint(bytes) : length;
        EXPECT_LE(size, bytes.size());
        texts.emplace(field, bytes.substr(0, size));
        bytes.remove_prefix(std::min(size, bytes.size()));
      }
    }
  }
  static std::uint64_t varint(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (int shift = 0; !bytes.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value;
  }
  template <class Number>
  [[nodiscard]] Number fixed(int field) const {
    Number number{};
    std::memcpy(&number, texts.find(field)->second.data(), sizeof(number));
    return number;
  }
  std::multimap<int, std::uint64_t> numbers;
  std::multimap<int, std::string_view> texts;
};

}  // namespace diffprob::tests

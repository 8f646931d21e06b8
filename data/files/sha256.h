#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace diffprob::data {

/// Incremental SHA-256.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// Eight bytes, little-endian.
  void update(std::int64_t value);
  /// 64 lower-case hex digits. Once; nothing may follow.
  [[nodiscard]] std::string hex();
  /// The same as 32 bytes.
  [[nodiscard]] std::array<std::byte, 32> bytes();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Digest of a text: 64 lower-case hex digits.
[[nodiscard]] std::string sha256_hex(std::string_view text);

/// Digest of a file's bytes. Throws DataError when it cannot be read.
[[nodiscard]] std::string sha256_file(const std::string& path);

}  // namespace diffprob::data

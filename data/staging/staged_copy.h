#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/staging/dataset_files.h"

namespace diffprob::data {

/// A copy of a data set's files in a folder of its own, made part by part by several processes of a
/// node. `parts.sha256` in the folder holds the SHA-256 of each part that was copied (32 bytes a
/// part, zeros until then), so that a copy can be checked without its source, and continued.
class StagedCopy {
 public:
  static constexpr std::int64_t kPartBytes = std::int64_t{1} << 22;
  enum class Outcome { kWasThere, kCopied };

  /// Touches nothing.
  StagedCopy(DatasetFiles source, std::string folder);

  [[nodiscard]] std::int64_t parts() const noexcept {
    return static_cast<std::int64_t>(parts_.size());
  }
  [[nodiscard]] std::int64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::int64_t bytes_of(std::int64_t part) const {
    return parts_[static_cast<std::size_t>(part)].length;
  }
  /// What to open.
  [[nodiscard]] std::string entry() const;

  /// Checks that what is missing fits, makes the folder and all files in their full size; what is
  /// there stays. One process of the node, before any bring(). Throws DataError that says how much
  /// is needed and how much is free.
  void prepare() const;
  /// Makes sure that a part is there: leaves it when its bytes have the digest that was noted, else
  /// copies it, reads it back and notes its digest. Parts may be brought at the same time. Throws
  /// DataError, also when the source is no longer what was listed.
  Outcome bring(std::int64_t part);

 private:
  struct Part {
    std::size_t file;
    std::int64_t offset;
    std::int64_t length;
  };
  void check_room() const;
  [[nodiscard]] std::string target(const std::string& name) const;

  DatasetFiles source_;
  std::string folder_;
  std::vector<Part> parts_;
  std::int64_t bytes_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace diffprob::data

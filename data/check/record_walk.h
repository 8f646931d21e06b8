#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "data/check/finding.h"
#include "data/files/input_file.h"

namespace diffprob::data {

/// Consecutive records of a .rec, in memory. Reused from block to block.
struct RecordBlock {
  struct Record {
    std::int64_t offset;
    std::span<const std::byte> payload;  ///< without heads and padding; split records are joined
  };
  std::vector<Record> records;
  std::vector<Finding> findings;  ///< kRecord and kUnreadable, with offsets
  std::int64_t end = 0;           ///< offset behind the block

 private:
  friend class RecordWalk;
  struct Piece {
    std::int64_t offset;
    std::size_t begin;
    std::size_t length;
    bool joined;
  };
  std::vector<std::byte> bytes_;
  std::vector<std::byte> joined_;
  std::vector<Piece> pieces_;
};

/// Walks a .rec from its first byte to its last in big reads and goes on behind damage: at the next
/// offset at which a record can start (a writer never leaves the magic number at a multiple of 4
/// inside a record). No length is believed before the bytes behind it are seen.
class RecordWalk {
 public:
  /// `listed`: record offsets of the .idx, increasing; empty without one. They tell a length that
  /// is too short from damage behind it.
  RecordWalk(const InputFile& file, std::span<const std::int64_t> listed)
      : file_(file), listed_(listed) {}
  /// The next block; false at the end of the file. Thread-safe: each call gets other records, in
  /// the order of the file.
  bool next(RecordBlock& block);

 private:
  struct Part {
    std::int64_t begin;
    std::int64_t length;
  };
  void load(RecordBlock& block, std::int64_t length);
  /// `length` bytes from `offset`, fewer at the end of the file; valid until the next call.
  std::span<const std::byte> peek(std::int64_t offset, std::int64_t length);
  /// First offset in [from, to) at which a whole or split record can start, or `to`.
  std::int64_t find_start(std::int64_t from, std::int64_t to);
  /// Parts and end of the record at `offset`; what is wrong with it, or "".
  std::string follow(std::int64_t offset);
  std::string follow_part(std::int64_t at);
  [[nodiscard]] bool ends_too_early(std::int64_t offset);
  /// Where to go on behind the broken record at `offset`: the next offset at which one can start,
  /// or that the .idx lists.
  std::int64_t resume_behind(std::int64_t offset);
  void add(RecordBlock& block, std::int64_t offset) const;

  const InputFile& file_;
  std::span<const std::int64_t> listed_;
  std::mutex mutex_;
  std::int64_t position_ = 0;
  std::span<const std::byte> window_;  // bytes of the current block
  std::int64_t window_begin_ = 0;
  std::vector<std::byte> probe_;  // bytes outside the window
  std::vector<Part> parts_;
  std::int64_t end_ = 0;
  bool last_part_ = false;
};

}  // namespace diffprob::data

#include "data/check/record_walk.h"

#include <algorithm>
#include <cstring>

#include "data/error.h"
#include "data/records/format.h"

namespace diffprob::data {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{1} << 22;
constexpr std::int64_t kProbeBytes = std::int64_t{1} << 18;
/// A region that cannot be read is given up in pieces of this size.
constexpr std::int64_t kUnreadableBytes = std::int64_t{1} << 16;
constexpr std::int64_t kLongestPayload = std::int64_t{1} << 30;

std::uint32_t load_word(const std::byte* from) {
  std::uint32_t value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

bool can_start(const std::byte* head) {
  return load_word(head) == kRecordMagic &&
         load_word(head + 4) >> kLengthBits <= static_cast<std::uint32_t>(PartKind::kStart);
}

/// Fills `out` with what can be read; zeros, and a finding, where nothing can.
void read_what_can_be(const InputFile& file, std::int64_t offset, std::span<std::byte> out,
                      std::vector<Finding>* findings) {
  try {
    return file.read(offset, out);
  } catch (const DataError&) {
    // Piece by piece below.
  }
  while (!out.empty()) {
    const auto piece = out.first(std::min<std::size_t>(out.size(), kUnreadableBytes));
    try {
      file.read(offset, piece);
    } catch (const DataError& error) {
      std::ranges::fill(piece, std::byte{0});
      if (findings != nullptr)
        findings->push_back(
            {.kind = FindingKind::kUnreadable,
             .offset = offset,
             .message = std::to_string(piece.size()) + " bytes cannot be read: " + error.what()});
    }
    offset += static_cast<std::int64_t>(piece.size());
    out = out.subspan(piece.size());
  }
}

}  // namespace

void RecordWalk::load(RecordBlock& block, std::int64_t length) {
  block.bytes_.resize(static_cast<std::size_t>(std::min(length, file_.size() - position_)));
  block.findings.clear();
  read_what_can_be(file_, position_, block.bytes_, &block.findings);
  window_ = block.bytes_;
  window_begin_ = position_;
}

std::span<const std::byte> RecordWalk::peek(std::int64_t offset, std::int64_t length) {
  length = std::min(length, file_.size() - offset);
  const auto inside = offset - window_begin_;
  if (inside >= 0 && inside + length <= static_cast<std::int64_t>(window_.size()))
    return window_.subspan(static_cast<std::size_t>(inside), static_cast<std::size_t>(length));
  probe_.resize(static_cast<std::size_t>(length));
  read_what_can_be(file_, offset, probe_, nullptr);
  return probe_;
}

std::int64_t RecordWalk::find_start(std::int64_t from, std::int64_t to) {
  while (from < to) {
    const auto span = std::min(to - from, kProbeBytes);
    const auto bytes = peek(from, span + 4);  // a head that begins in the last word
    for (std::int64_t i = 0;
         i < span && i + kPartHeadBytes <= static_cast<std::int64_t>(bytes.size()); i += 4)
      if (can_start(bytes.data() + i)) return from + i;
    from += span;
  }
  return to;
}

/// Checks the part at `at` and appends it to parts_.
std::string RecordWalk::follow_part(std::int64_t at) {
  if (file_.size() - at < kPartHeadBytes)
    return "the file ends inside a record's header (truncated?)";
  const auto head = peek(at, kPartHeadBytes);
  const auto magic = load_word(head.data());
  const auto code = load_word(head.data() + 4) >> kLengthBits;
  const std::int64_t length = load_word(head.data() + 4) & kLengthMask;
  const bool first = parts_.empty();
  if (magic != kRecordMagic)
    return first ? "magic number expected, found " + std::to_string(magic)
                 : "a split record without its last part (no magic number at offset " +
                       std::to_string(at) + ")";
  if (code > 3) return "continuation flag " + std::to_string(code) + ", expected 0 to 3";
  const auto kind = static_cast<PartKind>(code);
  const bool starts = kind == PartKind::kWhole || kind == PartKind::kStart;
  if (first && !starts) return "inside a split record instead of at its start";
  if (!first && starts)
    return "a split record without its last part (another record starts at offset " +
           std::to_string(at) + ")";
  const auto begin = at + kPartHeadBytes;
  end_ = begin + padded_to_word(length);
  if (end_ > file_.size())
    return "length " + std::to_string(length) + ", but the file ends " +
           std::to_string(file_.size() - begin) + " bytes after the record's header (truncated?)";
  last_part_ = kind == PartKind::kWhole || kind == PartKind::kEnd;
  if (!last_part_ && length % 4 != 0)
    return "a part other than the last has a length that is not a multiple of 4";
  const auto inner = find_start(begin, end_);
  if (inner < end_)
    return "length " + std::to_string(length) + " reaches to offset " + std::to_string(end_) +
           ", but another record starts at offset " + std::to_string(inner);
  parts_.push_back({begin, length});
  return "";
}

std::string RecordWalk::follow(std::int64_t offset) {
  parts_.clear();
  std::int64_t total = 0;
  for (auto at = offset;; at = end_) {
    auto problem = follow_part(at);
    if (!problem.empty()) return problem;
    total += parts_.back().length;
    if (total > kLongestPayload) return "a record of more than 1 GiB";
    if (last_part_) break;
  }
  if (ends_too_early(offset))
    return "length " + std::to_string(total) + " ends at offset " + std::to_string(end_) +
           ", where no record starts (too short?)";
  return "";
}

/// With an .idx only: without it damage behind a record looks the same as a length that is too
/// short.
bool RecordWalk::ends_too_early(std::int64_t offset) {
  if (!std::ranges::binary_search(listed_, offset)) return false;
  const auto next = std::ranges::upper_bound(listed_, offset);
  if (next == listed_.end() || *next <= end_) return false;
  const auto head = peek(end_, kPartHeadBytes);
  return head.size() < kPartHeadBytes || load_word(head.data()) != kRecordMagic;
}

std::int64_t RecordWalk::resume_behind(std::int64_t offset) {
  const auto next = std::ranges::upper_bound(listed_, offset);
  return find_start(offset + 4, next == listed_.end() ? file_.size() : *next);
}

/// The record that parts_ describe; it lies inside the window.
void RecordWalk::add(RecordBlock& block, std::int64_t offset) const {
  const auto in_window = [&](const Part& part) {
    return window_.subspan(static_cast<std::size_t>(part.begin - window_begin_),
                           static_cast<std::size_t>(part.length));
  };
  if (parts_.size() == 1) {
    block.pieces_.push_back({offset, static_cast<std::size_t>(parts_[0].begin - window_begin_),
                             static_cast<std::size_t>(parts_[0].length), false});
    return;
  }
  const auto begin = block.joined_.size();
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    // The writer dropped the magic number where it split the record.
    const auto magic = std::as_bytes(std::span(&kRecordMagic, 1));
    if (i > 0) block.joined_.insert(block.joined_.end(), magic.begin(), magic.end());
    const auto payload = in_window(parts_[i]);
    block.joined_.insert(block.joined_.end(), payload.begin(), payload.end());
  }
  block.pieces_.push_back({offset, begin, block.joined_.size() - begin, true});
}

bool RecordWalk::next(RecordBlock& block) {
  const std::lock_guard lock(mutex_);
  block.records.clear();
  block.pieces_.clear();
  block.joined_.clear();
  block.findings.clear();
  if (position_ >= file_.size()) return false;
  load(block, kBlockBytes);
  const auto window_end = [&] { return window_begin_ + static_cast<std::int64_t>(window_.size()); };
  while (position_ < window_end()) {
    auto problem = follow(position_);
    if (!problem.empty()) {
      block.findings.push_back(
          {.kind = FindingKind::kRecord, .offset = position_, .message = std::move(problem)});
      position_ = resume_behind(position_);
      continue;
    }
    if (end_ > window_end()) {
      // The next block starts with this record; one that is longer than a block gets a block of its
      // size.
      if (position_ > window_begin_) break;
      load(block, end_ - position_);
    }
    add(block, position_);
    position_ = end_;
  }
  position_ = std::min(position_, file_.size());
  block.end = position_;
  for (const auto& piece : block.pieces_) {
    const auto& bytes = piece.joined ? block.joined_ : block.bytes_;
    block.records.push_back({piece.offset, std::span(bytes).subspan(piece.begin, piece.length)});
  }
  // Ask for what follows while this block is decoded.
  file_.will_need(position_, kBlockBytes);
  window_ = {};
  return true;
}

}  // namespace diffprob::data

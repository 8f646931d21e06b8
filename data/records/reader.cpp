#include "data/records/reader.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "data/error.h"

namespace diffprob::data {
namespace {

/// Part head, image header and two labels: one small read tells all about a record.
constexpr std::int64_t kProbeBytes = kPartHeadBytes + kImageHeaderBytes + 8;
constexpr std::int64_t kLongestPayload = std::int64_t{1} << 30;

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

}  // namespace

void RecordReader::fail(std::int64_t offset, const std::string& message) const {
  throw DataError(file_.path() + ", record at offset " + std::to_string(offset) + ": " + message);
}

RecordReader::Part RecordReader::part_of(std::int64_t offset, const std::byte* head) const {
  const auto magic = load<std::uint32_t>(head);
  if (magic != kRecordMagic) fail(offset, "magic number expected, found " + std::to_string(magic));
  const auto word = load<std::uint32_t>(head + 4);
  const auto code = word >> kLengthBits;
  if (code > 3) fail(offset, "continuation flag " + std::to_string(code) + ", expected 0 to 3");
  Part part{static_cast<PartKind>(code), offset + kPartHeadBytes, word & kLengthMask, 0};
  part.end = part.begin + padded_to_word(part.length);
  if (part.end > file_.size())
    fail(offset, "length " + std::to_string(part.length) + ", but the file ends " +
                     std::to_string(file_.size() - part.begin) +
                     " bytes after the record's header (truncated?)");
  return part;
}

RecordReader::Part RecordReader::part_at(std::int64_t offset) const {
  if (file_.size() - offset < kPartHeadBytes)
    fail(offset, "the file ends inside a record's header (truncated?)");
  std::array<std::byte, kPartHeadBytes> head;
  file_.read(offset, head);
  return part_of(offset, head.data());
}

std::int64_t RecordReader::join(std::int64_t offset, const Part& first,
                                std::vector<std::byte>& payload) const {
  payload.clear();
  Part part = first;
  while (true) {
    const auto have = payload.size();
    if (static_cast<std::int64_t>(have) + part.length > kLongestPayload)
      fail(offset, "a record of more than 1 GiB");
    payload.resize(have + static_cast<std::size_t>(part.length));
    file_.read(part.begin, std::span(payload).subspan(have));
    if (part.kind == PartKind::kEnd) return part.end;
    if (part.length % 4 != 0)
      fail(offset, "a part other than the last has a length that is not a multiple of 4");
    // The writer dropped the magic number where it split the record.
    const auto magic = std::as_bytes(std::span(&kRecordMagic, 1));
    payload.insert(payload.end(), magic.begin(), magic.end());
    part = part_at(part.end);
    if (part.kind != PartKind::kMiddle && part.kind != PartKind::kEnd)
      fail(offset, "a split record without its last part");
  }
}

/// `payload` holds the first `available` bytes; head.payload_length is known.
void RecordReader::parse(std::int64_t offset, const std::byte* payload, std::int64_t available,
                         RecordHead& head) const {
  if (head.payload_length < kImageHeaderBytes)
    fail(offset, "a payload of " + std::to_string(head.payload_length) +
                     " bytes has no image header (24 bytes)");
  head.flag = load<std::uint32_t>(payload);
  head.labels[0] = load<float>(payload + 4);
  head.id = load<std::uint64_t>(payload + 8);
  head.id2 = load<std::uint64_t>(payload + 16);
  head.image_offset = kImageHeaderBytes + 4 * static_cast<std::int64_t>(head.flag);
  if (head.image_offset > head.payload_length)
    fail(offset, std::to_string(head.flag) + " labels are announced, but the record has " +
                     std::to_string(head.payload_length) + " bytes");
  for (std::int64_t i = 0; i < 2 && i < static_cast<std::int64_t>(head.flag); ++i) {
    const auto at = kImageHeaderBytes + 4 * i;
    if (at + 4 <= available) head.labels[i] = load<float>(payload + at);
  }
}

RecordHead RecordReader::head(std::int64_t offset) const {
  const auto available = std::min(kProbeBytes, file_.size() - offset);
  if (offset < 0 || available < kPartHeadBytes)
    fail(offset, "the file ends inside a record's header (truncated?)");
  std::array<std::byte, kProbeBytes> probe;
  file_.read(offset, std::span(probe).first(static_cast<std::size_t>(available)));
  const Part part = part_of(offset, probe.data());
  RecordHead head;
  if (part.kind == PartKind::kWhole) {
    head.end = part.end;
    head.payload_length = part.length;
    parse(offset, probe.data() + kPartHeadBytes, available - kPartHeadBytes, head);
    return head;
  }
  if (part.kind != PartKind::kStart) fail(offset, "inside a split record instead of at its start");
  std::vector<std::byte> payload;
  head.split = true;
  head.end = join(offset, part, payload);
  head.payload_length = static_cast<std::int64_t>(payload.size());
  parse(offset, payload.data(), head.payload_length, head);
  return head;
}

void RecordReader::read_image(std::int64_t offset, std::vector<std::byte>& bytes) const {
  if (offset < 0 || offset > file_.size()) fail(offset, "beyond the end of the file");
  const auto found = head(offset);
  if (!found.split) {
    bytes.resize(static_cast<std::size_t>(found.image_length()));
    file_.read(offset + kPartHeadBytes + found.image_offset, bytes);
    return;
  }
  join(offset, part_at(offset), bytes);
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(found.image_offset));
}

}  // namespace diffprob::data

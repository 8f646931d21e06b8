#include "launch/observe/tensorboard.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "model/onnx/protobuf_message.h"

namespace diffprob::launch {
namespace {

using model::ProtobufMessage;

// Field numbers of TensorFlow's event.proto and summary.proto.
enum EventField : std::uint32_t {
  kWallTime = 1,
  kStep = 2,
  kFileVersion = 3,
  kSummary = 5,
  kSessionLog = 7
};
enum SummaryField : std::uint32_t { kValue = 1 };
enum ValueField : std::uint32_t { kTag = 1, kSimpleValue = 2 };
enum SessionLogField : std::uint32_t { kStatus = 1 };
constexpr std::uint64_t kStatusStart = 1;
constexpr const char* kVersion = "brain.Event:2";

ProtobufMessage new_event(std::int64_t step) {
  ProtobufMessage event;
  event.float64(
      kWallTime,
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
  event.varint(kStep, static_cast<std::uint64_t>(step));
  return event;
}

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t rest = i;
    for (int bit = 0; bit < 8; ++bit) rest = (rest & 1) != 0 ? rest >> 1 ^ 0x82F63B78U : rest >> 1;
    table[i] = rest;
  }
  return table;
}

/// TFRecord masks its checksums, so that a checksum of data that holds checksums stays strong.
std::uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U;
}

/// length, its checksum, the data, its checksum
std::string framed(std::string_view data) {
  std::string frame;
  model::append_little_endian(frame, static_cast<std::uint64_t>(data.size()));
  model::append_little_endian(frame, masked_crc(frame));
  frame += data;
  model::append_little_endian(frame, masked_crc(data));
  return frame;
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "host";
}

/// Readers want "tfevents" in the name and take the files of a folder in the order of their names.
std::string new_file_name(int attempt) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::string seconds =
      std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  return "events.out.tfevents." + seconds.substr(0, seconds.size() - 3) + "." +
         seconds.substr(seconds.size() - 3) + "." + host_name() + "." + std::to_string(::getpid()) +
         "." + std::to_string(attempt);
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) noexcept {
  static constexpr auto kTable = make_crc_table();
  std::uint32_t crc = ~0U;
  for (const char byte : bytes)
    crc = kTable[(crc ^ static_cast<std::uint8_t>(byte)) & 0xff] ^ crc >> 8;
  return ~crc;
}

TensorBoard::TensorBoard(const std::string& folder, std::int64_t first_step) {
  std::filesystem::create_directories(folder);
  for (int attempt = 0; file_ < 0; ++attempt) {
    path_ = folder + "/" + new_file_name(attempt);
    file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
    if (file_ < 0 && errno != EEXIST) fail("cannot be created");
  }
  try {
    ProtobufMessage version = new_event(0);
    version.bytes(kFileVersion, kVersion);
    write_record(version.encoded());
    if (first_step <= 0) return;
    ProtobufMessage start;
    start.varint(kStatus, kStatusStart);
    ProtobufMessage session = new_event(first_step);
    session.bytes(kSessionLog, start.encoded());
    write_record(session.encoded());
  } catch (...) {
    ::close(file_);
    throw;
  }
}

TensorBoard::~TensorBoard() {
  if (file_ >= 0) ::close(file_);
}

void TensorBoard::write(std::int64_t step, std::span<const TaggedValue> values) {
  if (file_ < 0 || values.empty()) return;
  ProtobufMessage summary;
  for (const auto& [tag, value] : values) {
    ProtobufMessage entry;
    entry.bytes(kTag, tag);
    entry.float32(kSimpleValue, static_cast<float>(value));
    summary.bytes(kValue, entry.encoded());
  }
  ProtobufMessage event = new_event(step);
  event.bytes(kSummary, summary.encoded());
  write_record(event.encoded());
}

void TensorBoard::write_record(std::string_view event) {
  const std::string record = framed(event);
  for (std::size_t written = 0; written < record.size();) {
    const ssize_t count = ::write(file_, record.data() + written, record.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("cannot be written");
    written += static_cast<std::size_t>(count);
  }
}

void TensorBoard::fail(const char* what) const {
  throw std::runtime_error(path_ + ": " + what + ": " + std::strerror(errno));
}

}  // namespace diffprob::launch

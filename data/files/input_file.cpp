#include "data/files/input_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/error.h"
#include "data/files/stand_in.h"
#include "data/files/text_lines.h"

namespace diffprob::data {
namespace {

int open_regular(const std::string& path, std::int64_t& size) {
  // Without O_NONBLOCK a named pipe that nobody writes to would be waited for.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) throw DataError(path + ": cannot be opened: " + std::strerror(errno));
  struct stat status {};
  const bool ok = ::fstat(file, &status) == 0;
  const int reason = errno;
  if (ok && S_ISREG(status.st_mode)) {
    size = status.st_size;
    return file;
  }
  ::close(file);
  throw DataError(path + (ok ? std::string(": not a regular file")
                             : std::string(": ") + std::strerror(reason)));
}

}  // namespace

InputFile::InputFile(std::string path)
    : path_(std::move(path)), name_(std::filesystem::path(path_).filename().string()) {
  file_ = open_regular(path_, size_);
  const std::string stand_in = stand_in_text(file_);
  if (stand_in.empty()) return;
  ::close(file_);
  throw DataError(path_ + ": " + stand_in);
}

InputFile::~InputFile() {
  ::close(file_);
}

void InputFile::read(std::int64_t offset, std::span<std::byte> out) const {
  const auto wanted = static_cast<std::int64_t>(out.size());
  if (offset < 0 || offset > size_ || wanted > size_ - offset)
    throw DataError(path_ + ": " + std::to_string(wanted) + " bytes wanted at offset " +
                    std::to_string(offset) + ", but the file has " + std::to_string(size_) +
                    " bytes");
  while (!out.empty()) {
    const ssize_t got = ::pread(file_, out.data(), out.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw DataError(path_ + ": read failed at offset " + std::to_string(offset) + ": " +
                      std::strerror(errno));
    if (got == 0)
      throw DataError(path_ + ": was truncated while in use (its end is at offset " +
                      std::to_string(offset) + ")");
    out = out.subspan(static_cast<std::size_t>(got));
    offset += got;
  }
}

void InputFile::will_need(std::int64_t offset, std::int64_t length) const noexcept {
  static_cast<void>(::posix_fadvise(file_, offset, length, POSIX_FADV_WILLNEED));
}

namespace {

/// Reads a whole file into a container of single bytes.
template <class Bytes>
void read_into(const std::string& path, std::int64_t limit, Bytes& bytes) {
  const InputFile file(path);
  if (file.size() > limit)
    throw DataError(path + ": " + std::to_string(file.size()) + " bytes, at most " +
                    std::to_string(limit) + " are supported");
  bytes.resize(static_cast<std::size_t>(file.size()));
  file.read(0, std::as_writable_bytes(std::span(bytes)));
}

}  // namespace

void read_whole_file(const std::string& path, std::int64_t limit, std::vector<std::byte>& bytes) {
  read_into(path, limit, bytes);
}

std::string read_text_file(const std::string& path, std::int64_t limit) {
  std::string text;
  read_into(path, limit, text);
  text.erase(0, text.size() - text_body(text, path).size());
  return text;
}

}  // namespace diffprob::data

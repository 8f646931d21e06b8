#include "launch/observe/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace diffprob::launch {

Metrics::Metrics(std::string path) : path_(std::move(path)) {
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0) fail("cannot be opened for appending");
  try {
    cut_torn_line();
  } catch (...) {
    ::close(file_);
    throw;
  }
}

Metrics::~Metrics() {
  if (file_ >= 0) ::close(file_);
}

void Metrics::write(const nlohmann::ordered_json& values) {
  if (!values.is_object())
    throw std::runtime_error("metrics: expected a JSON object, got " + values.dump());
  if (file_ < 0) return;
  const std::string line =
      values.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  for (std::size_t written = 0; written < line.size();) {
    const ssize_t count = ::write(file_, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("cannot be written");
    written += static_cast<std::size_t>(count);
  }
}

void Metrics::cut_torn_line() {
  const off_t size = ::lseek(file_, 0, SEEK_END);
  if (size < 0) fail("cannot be read");
  // Backwards, block by block: the file of a long run is large, its last line is short.
  std::array<char, 4096> block;
  for (off_t end = size; end > 0;) {
    const off_t begin = std::max<off_t>(end - static_cast<off_t>(block.size()), 0);
    const auto length = static_cast<std::size_t>(end - begin);
    if (::pread(file_, block.data(), length, begin) != static_cast<ssize_t>(length))
      fail("cannot be read");
    const auto* newline = static_cast<const char*>(::memrchr(block.data(), '\n', length));
    end = newline != nullptr ? begin + (newline - block.data()) + 1 : begin;
    if (newline == nullptr && end > 0) continue;
    if (end < size && ::ftruncate(file_, end) != 0)
      fail("its incomplete last line cannot be removed");
    return;
  }
}

void Metrics::fail(const char* what) const {
  throw std::runtime_error(path_ + ": " + what + ": " + std::strerror(errno));
}

}  // namespace diffprob::launch

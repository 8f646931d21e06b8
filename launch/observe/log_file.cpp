#include "launch/observe/log_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace diffprob::launch {
namespace {

constexpr const char* kLogger = "diffprob";

bool ends_amid_a_line(const char* path, off_t size) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char last = '\n';
  const bool read = ::pread(file, &last, 1, size - 1) == 1;
  ::close(file);
  return read && last != '\n';
}

}  // namespace

LogFile::LogFile(spdlog::sink_ptr console, std::string start, std::int64_t most_bytes)
    : console_(std::move(console)), start_(std::move(start)), most_bytes_(most_bytes) {}

LogFile::~LogFile() {
  close_file();
}

void LogFile::open(const std::string& path) {
  const std::lock_guard lock(mutex_);
  close_file();
  path_ = path;
  open_file();
  const std::string text = start_ + (size_ > 0 ? "; what is above is of earlier starts" : "");
  spdlog::details::log_msg first(kLogger, spdlog::level::info, text);
  first.time = started_;
  write(formatted(first));
  for (const std::string& line : waiting_) write(line);
  waiting_.clear();
}

void LogFile::sink_it_(const spdlog::details::log_msg& message) {
  if (!path_.empty())
    write(formatted(message));
  else if (waiting_.size() < kMostWaiting)
    waiting_.push_back(formatted(message));
}

std::string LogFile::formatted(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t text;
  formatter_->format(message, text);
  return fmt::to_string(text);
}

void LogFile::open_file() {
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0) return complain("cannot be opened");
  struct stat facts {};
  size_ = ::fstat(file_, &facts) == 0 ? facts.st_size : 0;
  torn_ = size_ > 0 && ends_amid_a_line(path_.c_str(), size_);
}

void LogFile::close_file() {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
  size_ = 0;
  torn_ = false;
}

void LogFile::rotate() {
  if (std::rename(path_.c_str(), (path_ + ".1").c_str()) != 0) {
    most_bytes_ *= 2;  // another attempt much later
    return complain("cannot be renamed");
  }
  close_file();
  open_file();
}

void LogFile::write(const std::string& line) {
  const auto length = static_cast<std::int64_t>(line.size());
  if (file_ >= 0 && size_ > 0 && size_ + length > most_bytes_) rotate();
  if (file_ < 0) return;
  const std::string text = (torn_ ? "\n" : "") + line;
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = ::write(file_, text.data() + written, text.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    written += static_cast<std::size_t>(count);
  }
  size_ += static_cast<std::int64_t>(written);
  if (written == text.size()) {
    torn_ = false;
    return;
  }
  torn_ = torn_ || written > 0;
  complain("cannot be written");
}

void LogFile::complain(const std::string& what) {
  const std::string text =
      fmt::format("{}: {}: {}. The job goes on; log lines may be missing there", path_, what,
                  std::strerror(errno));
  if (!complained_) console_->log(spdlog::details::log_msg(kLogger, spdlog::level::warn, text));
  complained_ = true;
}

}  // namespace diffprob::launch

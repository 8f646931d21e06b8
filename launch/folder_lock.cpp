#include "launch/folder_lock.h"

#include <fcntl.h>
#include <spdlog/fmt/chrono.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <thread>
#include <utility>

namespace diffprob::launch {
namespace {

constexpr std::chrono::milliseconds kPoll{100};

/// Of a file system or mount that has no locks, as opposed to a lock that is taken.
bool means_no_locks(int error) {
  return error == ENOSYS || error == EOPNOTSUPP || error == ENOLCK || error == EINVAL;
}

/// "process 4711 on node3, since 2026-01-05 10:02:11 UTC"
std::string own_description() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"?"};
  return fmt::format("process {} on {}, since {:%Y-%m-%d %H:%M:%S} UTC", ::getpid(), host.data(), fmt::gmtime(std::time(nullptr)));
}

/// What the holder has written; the file is short.
std::string description_in(int file) {
  std::array<char, 512> text{};
  const ssize_t length = ::pread(file, text.data(), text.size() - 1, 0);
  std::string line(text.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  line = line.substr(0, line.find('\n'));
  return line.empty() ? "which has not written its name" : line;
}

void describe_in(int file, const std::string& path) {
  const std::string line = own_description() + "\n";
  const bool good = ::ftruncate(file, 0) == 0 && ::pwrite(file, line.data(), line.size(), 0) == static_cast<ssize_t>(line.size());
  if (!good) throw std::runtime_error(path + ": cannot be written: " + std::strerror(errno));
}

}  // namespace

FolderLock::FolderLock(const std::string& folder, Mode mode, std::chrono::milliseconds patience) {
  const std::string path = folder + "/job.lock";
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) throw std::runtime_error(path + ": cannot be opened for writing: " + std::strerror(errno));
  FolderLock guard(std::move(*this));  // closes on an exception
  const auto give_up = std::chrono::steady_clock::now() + patience;
  bool waited = false;
  while (::flock(guard.file_, (mode == Mode::kAlone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (means_no_locks(errno)) {
      spdlog::warn("{}: this file system has no locks ({}): see to it that no second job writes there", path, std::strerror(errno));
      break;
    }
    if (errno != EWOULDBLOCK) throw std::runtime_error(path + ": cannot be locked: " + std::strerror(errno));
    if (std::chrono::steady_clock::now() >= give_up) {
      throw std::runtime_error(folder + " is in use by another job, " + description_in(guard.file_) +
                               ". Wait for it, stop it, or use another --output. If its node is lost for good, delete " + path);
    }
    if (!std::exchange(waited, true))
      spdlog::info("{} is in use by another job, {}: waits for its end", folder, description_in(guard.file_));
    std::this_thread::sleep_for(kPoll);
  }
  describe_in(guard.file_, path);
  *this = std::move(guard);
}

FolderLock::~FolderLock() {
  if (file_ >= 0) ::close(file_);
}

FolderLock::FolderLock(FolderLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

}  // namespace diffprob::launch

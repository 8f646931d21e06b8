#include "launch/job/file_lock.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace diffprob::launch {

namespace {

bool means_no_locks(int error) {
  return error == ENOSYS || error == EOPNOTSUPP || error == ENOLCK || error == EINVAL;
}

}  // namespace

std::optional<FileLock> FileLock::try_lock(const std::string& path, Mode mode) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0)
    throw data::DataError(path + ": cannot be opened for writing: " + std::strerror(errno));
  FileLock lock(file);
  if (::flock(file, (mode == Mode::kAlone ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK || errno == EINTR) return std::nullopt;
  const std::string message = path + ": cannot be locked: " + std::strerror(errno);
  if (means_no_locks(errno)) throw NoLocks(message);
  throw data::DataError(message);
}

FileLock::~FileLock() {
  if (file_ >= 0) ::close(file_);
}

FileLock::FileLock(FileLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(file_, other.file_);
  return *this;
}

}  // namespace diffprob::launch

// write(2) and fsync(2) that fail for some files, as on a full, broken or restricted disk. The
// dynamic linker takes these before those of the C library, also for HDF5 and the C++ library.
#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <string>

#include "tests/launch/faults/fault.h"

namespace diffprob::faults {
namespace {

int error_number(const std::string& kind) {
  return kind == "ENOSPC" ? ENOSPC : kind == "EDQUOT" ? EDQUOT : EIO;
}

std::string path_of(int file) {
  std::array<char, 4096> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  const ssize_t length = ::readlink(link.c_str(), path.data(), path.size());
  return {path.data(), static_cast<std::size_t>(length < 0 ? 0 : length)};
}

/// From the COUNTth such call on.
bool fails(std::string_view call, int file) {
  static std::atomic<int> calls{0};
  static thread_local bool inside = false;  // fault() itself writes a file
  if (inside) return false;
  inside = true;
  const bool concerned = fault().point == call && fault().rank == own_rank() &&
                         path_of(file).find(fault().path) != std::string::npos;
  const bool due = concerned && ++calls >= fault().count;
  if (due) {
    note_fired();
    errno = error_number(fault().kind);
  }
  inside = false;
  return due;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

}  // namespace
}  // namespace diffprob::faults

extern "C" {

ssize_t write(int file, const void* bytes, size_t count) {
  static const auto real = diffprob::faults::next<ssize_t (*)(int, const void*, size_t)>("write");
  return diffprob::faults::fails("write", file) ? -1 : real(file, bytes, count);
}

ssize_t pwrite(int file, const void* bytes, size_t count, off_t at) {
  static const auto real =
      diffprob::faults::next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return diffprob::faults::fails("write", file) ? -1 : real(file, bytes, count, at);
}

ssize_t pwrite64(int file, const void* bytes, size_t count, off64_t at) {
  static const auto real =
      diffprob::faults::next<ssize_t (*)(int, const void*, size_t, off64_t)>("pwrite64");
  return diffprob::faults::fails("write", file) ? -1 : real(file, bytes, count, at);
}

int fsync(int file) {
  static const auto real = diffprob::faults::next<int (*)(int)>("fsync");
  return diffprob::faults::fails("fsync", file) ? -1 : real(file);
}
}

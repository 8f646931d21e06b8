#pragma once

#include <optional>
#include <string>

namespace diffprob::launch {

/// An exclusive lock on a file (flock), until the object goes or the process ends, however it ends.
class FileLock {
 public:
  /// Nothing when another process holds it. The file is made when missing and stays. Throws data::DataError when it cannot be opened.
  [[nodiscard]] static std::optional<FileLock> try_lock(const std::string& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int file) noexcept : file_(file) {}
  int file_;
};

}  // namespace diffprob::launch

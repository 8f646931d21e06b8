#pragma once

#include <optional>
#include <string>

#include "data/error.h"

namespace diffprob::launch {

/// The file system or mount has no locks, as opposed to a lock that is taken.
class NoLocks : public data::DataError {
 public:
  using data::DataError::DataError;
};

/// A lock on a file (flock), until the object goes or the process ends, however it ends.
class FileLock {
 public:
  enum class Mode {
    kAlone,   ///< nobody else
    kShared,  ///< with others that share
  };
  /// Nothing when another process holds it. The file is made when missing and stays. Throws
  /// data::DataError when it cannot be opened or locked, NoLocks where there are none.
  [[nodiscard]] static std::optional<FileLock> try_lock(const std::string& path,
                                                        Mode mode = Mode::kAlone);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  /// Open for reading and writing.
  [[nodiscard]] int descriptor() const noexcept { return file_; }

 private:
  explicit FileLock(int file) noexcept : file_(file) {}
  int file_;
};

}  // namespace diffprob::launch

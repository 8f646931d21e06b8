#pragma once

#include <chrono>
#include <string>

namespace diffprob::launch {

/// Keeps a second job out of a folder while this one writes there: a lock of flock(2) on FOLDER/job.lock, which also says who holds it. The
/// kernel lets go of it when the process ends, however it ends; NFS and Lustre (mounted with flock) pass it on to other nodes. The file
/// stays. One process of a job makes it.
class FolderLock {
 public:
  enum class Mode {
    kAlone,   ///< nobody else
    kShared,  ///< with others that share: jobs that write different files
  };
  /// Holds nothing.
  FolderLock() = default;
  /// Waits up to `patience` for a job that is about to end. Throws std::runtime_error naming the holder when it does not, or naming the
  /// file when it cannot be made. Where the file system has no locks it warns and goes on without one.
  FolderLock(const std::string& folder, Mode mode, std::chrono::milliseconds patience);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace diffprob::launch

#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "launch/job/file_lock.h"

namespace diffprob::launch {

/// Keeps a second job out of a folder while this one writes there: a lock of flock(2) on
/// FOLDER/job.lock, which also says who holds it. The kernel lets go of it when the process ends,
/// however it ends; NFS and Lustre (mounted with flock) pass it on to other nodes. The file stays.
/// One process of a job makes it.
class FolderLock {
 public:
  /// kShared: for jobs that write different files.
  using Mode = FileLock::Mode;
  /// Holds nothing.
  FolderLock() = default;
  /// Waits up to `patience` for a job that is about to end. Throws std::runtime_error naming the
  /// holder when it does not, or naming the file when it cannot be made. Where the file system has
  /// no locks it warns and goes on without one.
  FolderLock(const std::string& folder, Mode mode, std::chrono::milliseconds patience);

 private:
  std::optional<FileLock> lock_;
};

}  // namespace diffprob::launch

#pragma once

#include <string>
#include <string_view>

namespace diffprob::prune {

/// A file that appears whole or not at all: write to temporary(), close it, then commit(). Without
/// commit() the temporary file is removed.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// In the folder of the final path, so that the rename stays inside one file system.
  [[nodiscard]] const std::string& temporary() const noexcept { return temporary_; }
  /// fsync, rename, fsync of the folder. Throws PruneError.
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  bool committed_ = false;
};

/// Whole file from one string, atomically. Throws PruneError.
void write_text_file(const std::string& path, std::string_view text);
/// Throws PruneError.
[[nodiscard]] std::string read_text_file(const std::string& path);

}  // namespace diffprob::prune

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace diffprob::data {

/// A file that appears whole or not at all: bytes go to a temporary name in the same folder;
/// commit() syncs it, renames it and syncs the folder, which others may rename as soon as they see
/// the file. Without commit() the destructor removes it. All members throw DataError that names the
/// file.
class AtomicFile {
 public:
  /// The folder must exist.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Buffered.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Bytes written so far.
  [[nodiscard]] std::int64_t size() const noexcept { return size_; }
  /// Name of the temporary file, for writers that must open it themselves (they write there, then
  /// commit()).
  [[nodiscard]] const std::string& temporary_path() const noexcept { return temporary_; }
  /// Flushes, syncs and closes the file without renaming it: for groups of files, close() all, then
  /// commit() all.
  void close();
  /// Calls close() first if needed.
  void commit();

 private:
  void flush();

  std::string path_;
  std::string temporary_;
  std::vector<std::byte> buffer_;
  std::int64_t size_ = 0;
  int file_ = -1;
  bool committed_ = false;
};

void write_file_atomically(const std::string& path, std::string_view content);
void write_file_atomically(const std::string& path, std::span<const std::byte> content);

/// Makes renames inside a folder durable.
void sync_folder(const std::string& folder);

}  // namespace diffprob::data

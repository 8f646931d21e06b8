#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace diffprob::data {

/// A regular file, opened for reads at an offset (pread: safe from several threads). Throws
/// DataError that names the file.
class InputFile {
 public:
  explicit InputFile(std::string path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Without its folder, for messages.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// When it was opened.
  [[nodiscard]] std::int64_t size() const noexcept { return size_; }
  /// Fills `out`; a range beyond the end is an error.
  void read(std::int64_t offset, std::span<std::byte> out) const;
  /// Tells the kernel that this range is wanted soon. A hint: never fails.
  void will_need(std::int64_t offset, std::int64_t length) const noexcept;

 private:
  std::string path_;
  std::string name_;
  std::int64_t size_ = 0;
  int file_ = -1;
};

/// The whole file. Throws DataError, also when it is larger than `limit` bytes. `bytes` is resized;
/// its capacity is reused.
void read_whole_file(const std::string& path, std::int64_t limit, std::vector<std::byte>& bytes);
/// The same as text, UTF-8; without what text_body() removes.
[[nodiscard]] std::string read_text_file(const std::string& path, std::int64_t limit);

}  // namespace diffprob::data

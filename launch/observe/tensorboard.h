#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace diffprob::launch {

/// A curve's name and its value at one step.
using TaggedValue = std::pair<std::string, double>;

/// Scalars for TensorBoard: an event file (TFRecord frames around Event messages) that `tensorboard
/// --logdir` reads. Each process writes a new file; after a resume the reader drops what older
/// files hold from the first new step on. A record reaches the file in one write, so a kill leaves
/// whole records and at most one torn one at the end, which readers pass over. Values are stored as
/// float32.
class TensorBoard {
 public:
  /// Writes nothing: for the ranks that keep no file.
  TensorBoard() = default;
  /// first_step: of the first values to come; 0 for a run from the start. Makes the folder. Throws
  /// std::runtime_error that names the file.
  TensorBoard(const std::string& folder, std::int64_t first_step);
  ~TensorBoard();
  TensorBoard(const TensorBoard&) = delete;
  TensorBoard& operator=(const TensorBoard&) = delete;

  /// Values of one step, in one record. Throws std::runtime_error (disk full ...).
  void write(std::int64_t step, std::span<const TaggedValue> values);
  /// Empty for the ranks that keep no file.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  void write_record(std::string_view event);
  [[noreturn]] void fail(const char* what) const;

  std::string path_;
  int file_ = -1;
};

/// CRC-32C (Castagnoli), as TFRecord frames carry it before masking.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes) noexcept;

}  // namespace diffprob::launch

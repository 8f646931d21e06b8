#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace diffprob::data {

/// Decoded images of one data set, filled as they are first seen and kept for all epochs: give the
/// same object to every Loader of that set. One block of address space for all images (huge pages
/// where the system grants them); a page costs memory once an image is stored in it. One a process:
/// ranks of one node do not share it. Thread-safe.
class DecodedCache {
 public:
  /// Images are uint8 RGB [image_size, image_size, 3]. Throws DataError when the address space
  /// cannot be had, or when a size is below 1.
  DecodedCache(std::int64_t samples, int image_size);
  ~DecodedCache();
  DecodedCache(const DecodedCache&) = delete;
  DecodedCache& operator=(const DecodedCache&) = delete;

  /// A cache, when all images fit into `gib` GiB (of this process); else nothing, which means
  /// "decode every time". 0 is off.
  [[nodiscard]] static std::shared_ptr<DecodedCache> when_it_fits(std::int64_t samples,
                                                                  int image_size, double gib);
  /// Bytes of a full cache: the images, and one byte of state each.
  [[nodiscard]] static std::int64_t bytes_for(std::int64_t samples, int image_size) noexcept;

  /// The image, or nullptr while it is not stored. It stays where it is as long as the cache lives.
  /// 0 <= index < samples().
  [[nodiscard]] const std::uint8_t* find(std::int64_t index) const noexcept;
  /// Copies the image in. Of several threads with one index the first stores; the others return at
  /// once.
  void store(std::int64_t index, const std::uint8_t* image) noexcept;

  [[nodiscard]] std::int64_t samples() const noexcept { return samples_; }
  [[nodiscard]] int image_size() const noexcept { return image_size_; }
  /// Images stored so far.
  [[nodiscard]] std::int64_t stored() const noexcept { return stored_; }

 private:
  enum State : std::uint8_t { kEmpty, kFilling, kReady };
  [[nodiscard]] std::uint8_t* place(std::int64_t index) const noexcept;

  std::int64_t samples_;
  int image_size_;
  std::size_t image_bytes_;
  std::size_t block_bytes_;
  std::unique_ptr<std::atomic<std::uint8_t>[]> states_;
  std::uint8_t* block_ = nullptr;
  std::atomic<std::int64_t> stored_ = 0;
};

}  // namespace diffprob::data

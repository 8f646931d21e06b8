#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/duplicates/image_hash.h"
#include "data/images/jpeg_decoder.h"
#include "launch/duplicates/hashed_images.h"

namespace diffprob::launch {

/// Reads and decodes images of a source at the size at which they are hashed. One per thread.
class ImageReader {
 public:
  /// RGB bytes [112, 112, 3], good until the next call. Throws data::DataError.
  [[nodiscard]] const std::vector<std::uint8_t>& read(const ImageSource& source,
                                                      std::int64_t index) {
    if (source.read_aligned && source.read_aligned(index, rgb_)) return rgb_;
    source.read(index, bytes_);
    decoder_.decode(bytes_, data::kHashedSide, rgb_.data());
    return rgb_;
  }

 private:
  data::ImageDecoder decoder_;
  std::vector<std::byte> bytes_;
  std::vector<std::uint8_t> rgb_ =
      std::vector<std::uint8_t>(std::size_t{3} * data::kHashedSide * data::kHashedSide);
};

}  // namespace diffprob::launch

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/jpeg_decoder.h"
#include "data/verification_set.h"

namespace diffprob::eval {

/// Decodes runs of images of a verification set with some threads. One caller at a time; the set must outlive it.
class SetDecoder {
 public:
  /// threads: 0 and 1 decode in the caller.
  SetDecoder(const data::VerificationSet& set, int image_size, int threads);

  /// Images [begin, end) as uint8 [end - begin, image_size, image_size, 3], RGB; `pinned`: in page-locked memory of LibTorch's host
  /// allocator. Throws data::DataError that names the set and the first image that is no image.
  [[nodiscard]] at::Tensor decode(std::int64_t begin, std::int64_t end, bool pinned);

 private:
  void decode_one(data::ImageDecoder& decoder, std::int64_t image, std::uint8_t* out) const;

  const data::VerificationSet& set_;
  int image_size_;
  std::vector<std::unique_ptr<data::ImageDecoder>> decoders_;
};

}  // namespace diffprob::eval

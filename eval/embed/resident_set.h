#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/images/jpeg_decoder.h"
#include "data/sets/verification_set.h"

namespace diffprob::eval {

/// A verification set whose images a rank decodes when it first embeds them. With `keep` they then
/// stay as uint8 (37 KiB each at 112 x 112), so that evaluations during training decode nothing.
/// One caller at a time.
class ResidentSet {
 public:
  /// threads: 0 and 1 decode in the caller.
  ResidentSet(data::VerificationSet set, int image_size, int threads, bool keep);

  [[nodiscard]] const data::VerificationSet& set() const noexcept { return *set_; }

  /// Images [begin, end) as uint8 [end - begin, image_size, image_size, 3], RGB; `pinned`: in
  /// page-locked memory of LibTorch's host allocator. Throws data::DataError that names the set and
  /// the first image that is no image.
  [[nodiscard]] at::Tensor images(std::int64_t begin, std::int64_t end, bool pinned);

  /// Bytes of decoded images that are kept.
  [[nodiscard]] std::int64_t resident_bytes() const noexcept;

 private:
  [[nodiscard]] at::Tensor decode(std::int64_t begin, std::int64_t end, bool pinned);
  void decode_one(data::ImageDecoder& decoder, std::int64_t image, std::uint8_t* out) const;

  std::unique_ptr<const data::VerificationSet> set_;
  int image_size_;
  bool keep_;
  std::vector<std::unique_ptr<data::ImageDecoder>> decoders_;
  std::map<std::int64_t, at::Tensor> kept_;  ///< by the first image
};

}  // namespace diffprob::eval

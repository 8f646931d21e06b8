#include "eval/embed/resident_set.h"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>

#include "data/error.h"
#include "data/files/worker_threads.h"

namespace diffprob::eval {

ResidentSet::ResidentSet(data::VerificationSet set, int image_size, int threads, bool keep)
    : set_(std::make_unique<const data::VerificationSet>(std::move(set))),
      image_size_(image_size),
      keep_(keep) {
  TORCH_CHECK(image_size > 0, "verification set ", set_->name,
              ": expected a positive image size, got ", image_size);
  TORCH_CHECK(threads >= 0, "verification set ", set_->name,
              ": expected 0 or more decoding threads, got ", threads);
  for (int i = 0; i < std::max(threads, 1); ++i)
    decoders_.push_back(std::make_unique<data::ImageDecoder>());
}

at::Tensor ResidentSet::images(std::int64_t begin, std::int64_t end, bool pinned) {
  if (!keep_) return decode(begin, end, pinned);
  at::Tensor& kept = kept_[begin];
  if (!kept.defined() || kept.size(0) != end - begin) kept = decode(begin, end, pinned);
  return kept;
}

std::int64_t ResidentSet::resident_bytes() const noexcept {
  std::int64_t bytes = 0;
  for (const auto& [first, images] : kept_) bytes += images.defined() ? images.numel() : 0;
  return bytes;
}

void ResidentSet::decode_one(data::ImageDecoder& decoder, std::int64_t image,
                             std::uint8_t* out) const {
  try {
    decoder.decode(set_->images[static_cast<std::size_t>(image)], image_size_, out);
  } catch (const data::DataError& e) {
    throw data::DataError(c10::str("verification set ", set_->name, ", image ", image, " (pair ",
                                   image / 2, "): ", e.what()));
  }
}

at::Tensor ResidentSet::decode(std::int64_t begin, std::int64_t end, bool pinned) {
  const std::int64_t count = end - begin;
  auto images = at::empty({count, image_size_, image_size_, 3},
                          at::TensorOptions(at::kByte).pinned_memory(pinned));
  auto* bytes = images.mutable_data_ptr<std::uint8_t>();
  const std::int64_t image_bytes = std::int64_t{image_size_} * image_size_ * 3;

  data::parallel_for(0, count, static_cast<int>(decoders_.size()), [&](std::int64_t i, int worker) {
    decode_one(*decoders_[static_cast<std::size_t>(worker)], begin + i, bytes + i * image_bytes);
  });
  return images;
}

}  // namespace diffprob::eval

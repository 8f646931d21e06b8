#pragma once

#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>

#include "data/loading/loader.h"
#include "data/sets/dataset.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// The decoded images of one data set in memory of the run's device (data.resident_gib): every rank
/// holds them all.
class ResidentImages {
 public:
  /// Decodes the set: each rank its share of a chunk, which the ranks then gather, so that no image
  /// is decoded twice. Beside the images a rank holds a few of its shares, 32 MiB of images each
  /// divided by the number of ranks (at least 8 images). options: image_size, decode_threads,
  /// on_corrupt and pin_memory count. With OnCorrupt::kReplace each rank lists (warning) the images
  /// of its shares that it replaced. Collective. Throws data::DataError on all ranks when memory
  /// (it names data.resident_gib and the bytes) or an image cannot be had on one.
  ResidentImages(std::shared_ptr<const data::Dataset> dataset, const data::LoaderOptions& options,
                 Runtime& runtime);
  /// Gives the memory back to the device. All work that reads the images is on its current stream.
  ~ResidentImages();
  ResidentImages(const ResidentImages&) = delete;
  ResidentImages& operator=(const ResidentImages&) = delete;

  [[nodiscard]] static std::int64_t bytes_for(std::int64_t samples, int image_size) noexcept;

  /// uint8 [N, image_size, image_size, 3] on the device, RGB, in the order of the set.
  [[nodiscard]] const at::Tensor& images() const noexcept { return images_; }

 private:
  void fill(const std::shared_ptr<const data::Dataset>& dataset, const data::LoaderOptions& options,
            Runtime& runtime);

  at::Tensor images_;
};

}  // namespace diffprob::launch

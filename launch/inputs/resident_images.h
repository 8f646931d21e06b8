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
  /// Decodes the set chunk by chunk: each rank decodes its share of a chunk, then all gather it, so
  /// that no image is decoded twice. In addition to the images a rank holds a few of its shares,
  /// 32 MiB of images each divided by the number of ranks (at least 8 images). Only image_size,
  /// decode_threads, on_corrupt and pin_memory of the options are used. With OnCorrupt::kReplace
  /// each rank warns of the images of its shares that it replaced. Collective. Throws
  /// data::DataError on all ranks when one of them lacks the memory (the message names
  /// data.resident_gib and the bytes) or cannot decode an image.
  ResidentImages(std::shared_ptr<const data::Dataset> dataset, const data::LoaderOptions& options,
                 Runtime& runtime);
  /// Gives the memory back to the device. All work that reads the images must be on its current
  /// stream.
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

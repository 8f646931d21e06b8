#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/images/jpeg_decoder.h"
#include "eval/ijb/ijb.h"
#include "model/inference/options.h"
#include "model/networks/backbone.h"

namespace diffprob::eval {

/// Reads, decodes and aligns loose crops of an IJB folder with some threads. One caller at a time.
class LooseCrops {
 public:
  /// The protocol must outlive it. threads: 0 and 1 decode in the caller.
  LooseCrops(const IjbProtocol& protocol, int threads);

  /// Aligned faces uint8 [rows, 112, 112, 3], RGB; there[i] = 0 and black where the file is
  /// missing, no image, or its landmarks give no similarity. `pinned`: in page-locked memory of
  /// LibTorch's host allocator.
  [[nodiscard]] at::Tensor read(std::span<const std::int64_t> rows, std::span<std::uint8_t> there,
                                bool pinned);
  /// What was wrong with the first kMostProblems images: "NAME: why".
  [[nodiscard]] const std::vector<std::string>& problems() const noexcept { return problems_; }
  static constexpr std::size_t kMostProblems = 20;

 private:
  struct Worker {
    data::ImageDecoder decoder;
    data::DecodedImage image;
    std::vector<std::byte> bytes;
  };
  bool read_one(Worker& worker, std::int64_t row, std::uint8_t* out);

  const IjbProtocol& protocol_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::mutex mutex_;
  std::vector<std::string> problems_;
};

/// Features of loose crops by a network, image and mirror image: for evaluate_ijb(). crops,
/// backbone and protocol must outlive it; the backbone is in eval mode while it lives.
[[nodiscard]] ImageFeatures network_features(LooseCrops& crops, model::Backbone& backbone,
                                             at::Device device,
                                             model::FaceEmbedderOptions options = {});

}  // namespace diffprob::eval

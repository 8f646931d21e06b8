#pragma once

#include <memory>

#include "data/images/augment.h"

namespace diffprob::data {

class DecodedCache;

enum class OnCorrupt {
  kFail,     ///< throw DataError that names the record
  kReplace,  ///< replace the image by a black one, count and list it
};

struct LoaderOptions {
  /// Images must decode to image_size x image_size x 3; others are resized (bilinear).
  int image_size = 112;
  int decode_threads = 2;    ///< per rank; 0 decodes in the caller, for debugging
  int prefetch_batches = 4;  ///< bounded queue
  bool flip = true;          ///< random horizontal flip, p = 0.5, keyed by BatchPlan::augment_key
  bool pin_memory = false;   ///< page-locked batches, for CUDA
  OnCorrupt on_corrupt = OnCorrupt::kFail;
  AugmentOptions augment{};  ///< before the flip
  /// Cache of this data set and image_size; nullptr: decode every time.
  std::shared_ptr<DecodedCache> cache = nullptr;
};

}  // namespace diffprob::data

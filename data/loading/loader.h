#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/images/augment.h"
#include "data/loading/batch_stream.h"
#include "data/loading/decoded_cache.h"
#include "data/loading/sampler.h"
#include "data/sets/dataset.h"

namespace diffprob::data {

enum class OnCorrupt {
  kFail,     ///< throw DataError that names the record
  kReplace,  ///< replace the image by a black one, count and list it
};

struct LoaderOptions {
  int image_size =
      112;  ///< images must decode to image_size x image_size x 3; others are resized (bilinear)
  int decode_threads = 2;    ///< per rank; 0 decodes in the caller, for debugging
  int prefetch_batches = 4;  ///< bounded queue
  bool flip = false;         ///< random horizontal flip, p = 0.5, keyed by BatchPlan::augment_key
  bool pin_memory = false;   ///< page-locked batches, for CUDA
  OnCorrupt on_corrupt = OnCorrupt::kFail;
  AugmentOptions augment{};  ///< before the flip
  std::shared_ptr<DecodedCache> cache =
      nullptr;  ///< of this data set and image_size; nullptr: decode every time
};

/// Decodes the batches of a plan in order, ahead of the consumer. b may be 0 (empty tensors of the
/// right shape). Content does not depend on the number of threads. next() rethrows what a worker
/// threw.
class Loader final : public BatchStream {
 public:
  /// first_batch: where to start (resume in mid-epoch).
  Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const BatchPlan> plan,
         LoaderOptions options, std::int64_t first_batch = 0);
  ~Loader() override;

  [[nodiscard]] std::vector<std::string> replaced() const override;

 private:
  bool do_next(Batch& batch) override;

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace diffprob::data

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/loading/batch_stream.h"
#include "data/loading/sampler.h"
#include "data/sets/dataset.h"
#include "launch/inputs/resident_images.h"

namespace diffprob::launch {

/// Batches of a plan, gathered from images in memory of the device: bit for bit those of
/// data::Loader with the same plan and flip. Images and labels of a batch are on the device, made
/// on its current stream; the host does not wait for the device.
class ResidentBatches final : public data::BatchStream {
 public:
  /// `images` holds those of `dataset`. A training that resumes in mid-epoch starts at
  /// `first_batch`.
  ResidentBatches(std::shared_ptr<const ResidentImages> images,
                  std::shared_ptr<const data::Dataset> dataset,
                  std::shared_ptr<const data::BatchPlan> plan, bool flip,
                  std::int64_t first_batch = 0);

  /// Returns nothing: ResidentImages has listed the replaced images.
  [[nodiscard]] std::vector<std::string> replaced() const override { return {}; }

 private:
  bool do_next(data::Batch& batch) override;

  std::shared_ptr<const ResidentImages> images_;
  std::shared_ptr<const data::Dataset> dataset_;
  std::shared_ptr<const data::BatchPlan> plan_;
  bool flip_;
  std::int64_t next_batch_;
  std::vector<std::int64_t> indices_;  ///< of one batch
};

}  // namespace diffprob::launch

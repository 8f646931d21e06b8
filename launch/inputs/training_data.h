#pragma once

#include <cstdint>
#include <memory>

#include "data/loading/batch_stream.h"
#include "data/loading/decoded_cache.h"
#include "data/loading/kept_places.h"
#include "data/loading/loader.h"
#include "data/loading/weighted_sampler.h"
#include "launch/config/config.h"
#include "launch/inputs/resident_images.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// How images are read for scoring: as the configuration says, but never changed. TrainingData adds
/// flips and augmentation.
[[nodiscard]] data::LoaderOptions loader_options(const Config& config, const Runtime& runtime);

/// The training set in the order of its epochs, with the sampling, augmentation and memory for
/// decoded images that the configuration asks for. One per rank. Images in memory of the device
/// (data.resident_gib) stay there as long as this object and its streams.
class TrainingData {
 public:
  TrainingData(const Config& config, std::shared_ptr<const data::Dataset> dataset,
               std::uint64_t seed, Runtime& runtime);

  [[nodiscard]] std::int64_t steps_per_epoch() const noexcept { return steps_per_epoch_; }
  /// Batches of an epoch from `first_batch` on. Collective: the first call decodes the images that
  /// stay on the device, and throws as ResidentImages does.
  [[nodiscard]] std::unique_ptr<data::BatchStream> loader(std::int64_t epoch,
                                                          std::int64_t first_batch);
  /// The order of an epoch with all samples. Not collective.
  [[nodiscard]] std::shared_ptr<const data::EpochPlan> whole_epoch(std::int64_t epoch) const {
    return whole_epoch(epoch, runtime_.rank(), runtime_.world_size());
  }
  /// Epochs that loader() and global_batch() are asked for from now on have these places alone;
  /// null: all. Returns their number of batches. The same on every rank; not collective.
  std::int64_t keep(std::shared_ptr<const data::KeptPlaces> places);
  /// Samples of global batch number `batch`, of all ranks.
  [[nodiscard]] std::vector<std::int64_t> global_batch(std::int64_t epoch,
                                                       std::int64_t batch) const;

 private:
  /// Returns true if images stay in memory of the device; logs the reason when that was asked for
  /// and is not possible.
  [[nodiscard]] bool wants_resident() const;
  [[nodiscard]] std::shared_ptr<const data::EpochPlan> whole_epoch(std::int64_t epoch, int rank,
                                                                   int world_size) const;
  [[nodiscard]] std::shared_ptr<const data::BatchPlan> plan(std::int64_t epoch, int rank,
                                                            int world_size) const;

  const Config& config_;
  std::shared_ptr<const data::Dataset> dataset_;
  std::uint64_t seed_;
  Runtime& runtime_;
  data::LoaderOptions options_;
  std::shared_ptr<const data::AliasTable> weights_;   ///< data.sampling=weighted
  std::shared_ptr<const data::ClassIndex> by_class_;  ///< data.sampling=balanced
  std::shared_ptr<const data::KeptPlaces> kept_;      ///< null: all
  std::int64_t steps_per_epoch_;
  bool use_resident_;
  std::shared_ptr<const ResidentImages> resident_;  ///< null before the first epoch
};

}  // namespace diffprob::launch

#pragma once

#include <cstdint>
#include <memory>

#include "data/decoded_cache.h"
#include "data/loader.h"
#include "data/weighted_sampler.h"
#include "launch/config.h"
#include "launch/runtime.h"

namespace diffprob::launch {

/// What the configuration says of reading images, without augmentation: for scoring; training adds to it.
[[nodiscard]] data::LoaderOptions loader_options(const Config& config, const Runtime& runtime);

/// The training set in the order of its epochs: sampling, augmentation and the decoded cache as the configuration says. One per rank.
class TrainingData {
 public:
  TrainingData(const Config& config, std::shared_ptr<const data::Dataset> dataset, std::uint64_t seed, const Runtime& runtime);

  [[nodiscard]] std::int64_t steps_per_epoch() const noexcept { return steps_per_epoch_; }
  /// Batches of an epoch from `first_batch` on.
  [[nodiscard]] std::unique_ptr<data::Loader> loader(std::int64_t epoch, std::int64_t first_batch) const;
  /// Samples of global batch `batch`, of all ranks.
  [[nodiscard]] std::vector<std::int64_t> global_batch(std::int64_t epoch, std::int64_t batch) const;

 private:
  [[nodiscard]] std::shared_ptr<const data::BatchPlan> plan(std::int64_t epoch, int rank, int world_size) const;

  const Config& config_;
  std::shared_ptr<const data::Dataset> dataset_;
  std::uint64_t seed_;
  int rank_;
  int world_size_;
  data::LoaderOptions options_;
  std::shared_ptr<const data::AliasTable> weights_;   ///< data.sampling=weighted
  std::shared_ptr<const data::ClassIndex> by_class_;  ///< data.sampling=balanced
  std::int64_t steps_per_epoch_;
};

}  // namespace diffprob::launch

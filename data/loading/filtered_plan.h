#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/loading/kept_places.h"
#include "data/loading/sampler.h"

namespace diffprob::data {

/// An epoch without some of its places: the others move up, in their order, and a sample is
/// augmented as it would have been. Global batch k holds the same samples for any number of ranks.
class FilteredPlan final : public BatchPlan {
 public:
  /// Throws DataError when fewer places than a global batch are kept, or `kept` is of another
  /// number of places.
  FilteredPlan(std::shared_ptr<const EpochPlan> whole, std::shared_ptr<const KeptPlaces> kept,
               std::int64_t global_batch, int rank, int world_size);
  [[nodiscard]] std::int64_t num_batches() const override { return kept_->count() / global_batch_; }
  void indices(std::int64_t batch, std::vector<std::int64_t>& out) const override;
  [[nodiscard]] std::uint64_t key() const override { return whole_->key(); }
  [[nodiscard]] std::uint64_t augment_key(std::int64_t batch, std::int64_t row,
                                          std::int64_t index) const override;

 private:
  [[nodiscard]] std::int64_t place_of(std::int64_t batch, std::int64_t row) const;

  std::shared_ptr<const EpochPlan> whole_;
  std::shared_ptr<const KeptPlaces> kept_;
  std::int64_t global_batch_;
  RowRange rows_;
};

}  // namespace diffprob::data

#include "data/loading/filtered_plan.h"

#include <string>
#include <utility>

#include "data/error.h"

namespace diffprob::data {

FilteredPlan::FilteredPlan(std::shared_ptr<const EpochPlan> whole,
                           std::shared_ptr<const KeptPlaces> kept, std::int64_t global_batch,
                           int rank, int world_size)
    : whole_(std::move(whole)),
      kept_(std::move(kept)),
      global_batch_(global_batch),
      rows_(rows_of_rank(global_batch, rank, world_size)) {
  if (kept_->places() != whole_->places() || global_batch < 1 || kept_->count() < global_batch)
    throw DataError("an epoch of " + std::to_string(whole_->places()) + " samples, of which " +
                    std::to_string(kept_->count()) + " of " + std::to_string(kept_->places()) +
                    " are kept, for global batches of " + std::to_string(global_batch));
}

std::int64_t FilteredPlan::place_of(std::int64_t batch, std::int64_t row) const {
  return kept_->place(batch * global_batch_ + rows_.begin + row);
}

void FilteredPlan::indices(std::int64_t batch, std::vector<std::int64_t>& out) const {
  out.clear();
  for (std::int64_t row = 0; row < rows_.end - rows_.begin; ++row)
    out.push_back(whole_->sample_at(place_of(batch, row)));
}

std::uint64_t FilteredPlan::augment_key(std::int64_t batch, std::int64_t row,
                                        std::int64_t index) const {
  return whole_->augment_key_at(place_of(batch, row), index);
}

}  // namespace diffprob::data

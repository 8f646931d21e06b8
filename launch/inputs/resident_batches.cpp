#include "launch/inputs/resident_batches.h"

#include <ATen/ATen.h>

#include <utility>

namespace diffprob::launch {
namespace {

/// Columns of the table that goes to the device with a batch, in one copy.
enum Column : std::int64_t { kIndex, kLabel, kMirrored, kColumns };

}  // namespace

ResidentBatches::ResidentBatches(std::shared_ptr<const ResidentImages> images,
                                 std::shared_ptr<const data::Dataset> dataset,
                                 std::shared_ptr<const data::BatchPlan> plan, bool flip,
                                 std::int64_t first_batch)
    : images_(std::move(images)),
      dataset_(std::move(dataset)),
      plan_(std::move(plan)),
      flip_(flip),
      next_batch_(first_batch) {
  TORCH_CHECK(first_batch >= 0, "resident batches: first_batch is ", first_batch,
              ", expected at least 0");
  TORCH_CHECK(images_->images().size(0) == dataset_->size(),
              "resident batches: ", images_->images().size(0),
              " images are in memory, but the data set has ", dataset_->size());
}

bool ResidentBatches::do_next(data::Batch& batch) {
  if (next_batch_ >= plan_->num_batches()) return false;
  plan_->indices(next_batch_, indices_);
  const auto rows = static_cast<std::int64_t>(indices_.size());
  const at::Tensor& images = images_->images();
  // Each batch has a new table: LibTorch's host allocator does not reuse the memory of the last one
  // before its copy has been made.
  const at::Tensor on_host =
      at::empty({kColumns, rows}, at::TensorOptions(at::kLong).pinned_memory(images.is_cuda()));
  auto* const values = on_host.mutable_data_ptr<std::int64_t>();
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t index = indices_[static_cast<std::size_t>(row)];
    values[kIndex * rows + row] = index;
    values[kLabel * rows + row] = dataset_->label(index);
    values[kMirrored * rows + row] =
        flip_ && data::is_mirrored(plan_->augment_key(next_batch_, row, index)) ? 1 : 0;
  }
  const at::Tensor on_device = on_host.to(images.device(), /*non_blocking=*/images.is_cuda());
  batch.indices = on_host[kIndex];
  batch.labels = on_device[kLabel];
  batch.images = images.index_select(0, on_device[kIndex]);  // [rows, side, side, 3]
  if (flip_)
    batch.images = at::where(on_device[kMirrored].ne(0).view({rows, 1, 1, 1}), batch.images.flip(2),
                             batch.images);
  ++next_batch_;
  return true;
}

}  // namespace diffprob::launch

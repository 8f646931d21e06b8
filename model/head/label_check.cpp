#include "model/head/label_check.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "dist/gpu/stream_capture.h"

namespace diffprob::model {

void LabelCheck::submit(const at::Tensor& labels, std::int64_t num_classes,
                        const std::vector<std::int64_t>& counts, int first_rank) {
  const std::int64_t rows = labels.size(0);
  const at::Tensor bad = at::logical_or(labels < 0, labels >= num_classes);
  const at::Tensor row = at::where(bad, at::arange(rows, labels.options()), rows).min();
  const at::Tensor label = labels.index_select(0, row.clamp_max(rows - 1).view({1})).squeeze(0);
  const at::Tensor finding = at::stack({bad.sum(), row, label});
  const bool on_host = labels.device().is_cpu();
  if (!finding_.defined())
    finding_ = at::zeros({3}, at::TensorOptions().dtype(at::kLong).pinned_memory(!on_host));
  counts_ = counts;
  num_classes_ = num_classes;
  first_rank_ = first_rank;
  if (on_host) {
    finding_.copy_(finding);
    pending_ = true;
    return;
  }
  if (!sticky_.defined()) sticky_ = at::zeros({3}, finding.options());
  sticky_.copy_(at::where(sticky_[0] > 0, sticky_, finding));
  finding_.copy_(sticky_, /*non_blocking=*/true);
  if (!dist::is_recording(labels.device())) mark_copied(labels.device());
}

void LabelCheck::submitted_by_replay(at::Device device) {
  mark_copied(device);
}

void LabelCheck::mark_copied(at::Device device) {
  const c10::impl::VirtualGuardImpl guard(device.type());
  if (!copied_) copied_.emplace(device.type());
  copied_->record(guard.getStream(device));
  pending_ = true;
}

void LabelCheck::settle() {
  if (!pending_) return;
  pending_ = false;
  if (copied_) copied_->synchronize();
  const std::int64_t* finding = finding_.const_data_ptr<std::int64_t>();
  if (finding[0] == 0) return;
  std::int64_t row = finding[1];
  if (sticky_.defined()) sticky_.zero_();  // this one is told
  std::size_t rank = 0;
  while (row >= counts_[rank]) row -= counts_[rank++];
  TORCH_CHECK(false, "label out of range: rank ", first_rank_ + static_cast<int>(rank), ", row ",
              row, " of its batch: label ", finding[2], ", expected 0 to ", num_classes_ - 1, " (",
              finding[0], " such labels in this global batch)");
}

}  // namespace diffprob::model

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

namespace diffprob::model {

/// Range check of the labels of a global batch. Every rank checks the labels of all ranks, so all
/// find the same error. The finding is copied to the host without waiting for the device; settle()
/// reads it. On a device the first bad batch stays the finding.
class LabelCheck {
 public:
  /// labels [B] int64 in rank order, counts: rows a rank; num_classes is the same in every call.
  /// first_rank: rank of the world that gave the first rows.
  void submit(const at::Tensor& labels, std::int64_t num_classes,
              const std::vector<std::int64_t>& counts, int first_rank = 0);
  /// submit() was recorded into a CUDA graph, which has been replayed on the current stream.
  void submitted_by_replay(at::Device device);
  /// Throws c10::Error that names rank, row of that rank and label of the first bad label
  /// submitted. Does nothing when none is pending.
  void settle();

 private:
  void mark_copied(at::Device device);

  at::Tensor sticky_;   // [3] int64 on the device, as finding_
  at::Tensor finding_;  // host [3] int64: bad labels, first bad row of the global batch, its label
  std::optional<c10::Event> copied_;
  std::vector<std::int64_t> counts_;
  std::int64_t num_classes_ = 0;
  int first_rank_ = 0;
  bool pending_ = false;
};

}  // namespace diffprob::model

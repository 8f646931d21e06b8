#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

namespace diffprob::model {

/// Range check of the labels of a global batch. Every rank checks the labels of all ranks, so all find the same error. The finding is
/// copied to the host without waiting for the device; settle() reads it.
class LabelCheck {
 public:
  /// labels [B] int64 in rank order, counts: rows a rank. An earlier finding must have been settled.
  void submit(const at::Tensor& labels, std::int64_t num_classes, const std::vector<std::int64_t>& counts);
  /// Throws c10::Error that names rank, row of that rank and label of the first bad label submitted. Does nothing when none is pending.
  void settle();

 private:
  at::Tensor finding_;  // host [3] int64: bad labels, first bad row of the global batch, its label
  std::optional<c10::Event> copied_;
  std::vector<std::int64_t> counts_;
  std::int64_t num_classes_ = 0;
  bool pending_ = false;
};

}  // namespace diffprob::model

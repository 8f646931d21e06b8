#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "model/head/sharded_head.h"
#include "prune/tables/dynamics.h"

namespace diffprob::launch {

/// What the forward passes of training steps say of this rank's rows. Kept on the device until
/// take(), so that no step waits for it: 12 bytes a row there. Nothing here is collective.
class StepRecords {
 public:
  /// A micro-batch. indices: [b] int64 on the host, may change afterwards.
  void add(const at::Tensor& indices, const model::HeadStep& head);
  /// Ends the update that the rows added since the last call belong to. apply: scalar on the
  /// device, not changed afterwards; 0 when the update is left out on all ranks: its rows are
  /// forgotten.
  void end_update(at::Tensor apply);

  struct Taken {
    std::vector<prune::EpochRecord> records;  ///< in the order of updates and rows
    std::int64_t updates = 0;                 ///< that were made
  };
  /// Everything since the last call. Waits for the device.
  [[nodiscard]] Taken take();

 private:
  std::vector<std::uint32_t> indices_;
  std::vector<at::Tensor> columns_;  // a micro-batch: [3, b] float32
  std::vector<at::Tensor> applied_;  // an update: scalar
  std::vector<std::size_t> ends_;    // an update: rows up to its end
};

}  // namespace diffprob::launch

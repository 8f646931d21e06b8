#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"

namespace diffprob::model {

/// Copies of a head. With W ranks in groups of G, ranks g * G to (g + 1) * G - 1 hold all classes
/// together, sharded among them, and every group has a copy: embeddings, softmax and their
/// gradients stay inside a group, and only the gradients of the centres travel between groups.
class HeadReplicas {
 public:
  /// One copy, over all ranks.
  HeadReplicas() = default;
  /// between: the communicator of the ranks that hold the same classes, one of each group, in the
  /// order of the groups; it must outlive this object.
  HeadReplicas(dist::Communicator& between, int group_size);

  /// Returns true if there is more than one copy.
  [[nodiscard]] bool several() const noexcept { return between_ != nullptr; }
  [[nodiscard]] dist::Communicator& between() const noexcept { return *between_; }

  /// The rows of a group in a global batch.
  struct Share {
    std::vector<std::int64_t> counts;  ///< rows of each rank of the group
    int first_rank = 0;                ///< of the group, in the world
    std::int64_t first_row = 0;        ///< of the group, in the global batch
    std::int64_t rows = 0;             ///< of the group
    std::int64_t all_rows = 0;         ///< of the global batch
  };
  /// counts: rows of each rank of the world. Throws c10::Error on another number of them.
  [[nodiscard]] Share share_of(const std::vector<std::int64_t>& counts) const;

  /// [rows of the group, ...] -> [rows of the global batch, ...], contiguous, in the order of
  /// ranks. Collective over the ranks of `between`.
  [[nodiscard]] at::Tensor whole(const at::Tensor& own,
                                 const std::vector<std::int64_t>& counts) const;

 private:
  dist::Communicator* between_ = nullptr;
  int group_size_ = 0;
};

}  // namespace diffprob::model

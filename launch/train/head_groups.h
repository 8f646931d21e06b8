#pragma once

#include <cstdint>
#include <memory>

#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "model/head/head_replicas.h"

namespace diffprob::launch {

/// Ranks that share one copy of the classes (model.head_group): the size of the groups. Throws
/// ConfigError when the ranks cannot be cut into such groups. Collective.
[[nodiscard]] int head_group_size(const Config& config, std::int64_t num_classes, Runtime& runtime);

/// Returns true if a copy of the classes per node, on `node` of the job's ranks, is less traffic
/// between the nodes than one copy over all: the gradients of a rank's centres are fewer numbers
/// than the embeddings of a global batch (launch/scaling/SCALING.md).
[[nodiscard]] bool copy_per_node_pays(std::int64_t num_classes, std::int64_t global_batch, int node,
                                      int ranks);

/// The communicators of the head of a training: all ranks, or the groups of ranks that share one
/// copy of the classes, with the ranks that hold the same classes in the other groups.
class HeadGroups {
 public:
  /// Collective. The runtime must outlive it.
  HeadGroups(const Config& config, std::int64_t num_classes, Runtime& runtime);

  /// Of the ranks that share a copy with this one.
  [[nodiscard]] dist::Communicator& group() noexcept { return group_ ? *group_ : world_; }
  [[nodiscard]] model::HeadReplicas replicas() const;
  [[nodiscard]] int copies() const noexcept { return world_.world_size() / size_; }
  /// Returns true on the ranks of the first group, which write checkpoints of the head.
  [[nodiscard]] bool is_first() const noexcept { return world_.rank() < size_; }
  void set_step(std::int64_t step) noexcept;

 private:
  dist::Communicator& world_;
  int size_;
  std::unique_ptr<dist::Communicator> group_;    ///< null: all ranks
  std::unique_ptr<dist::Communicator> between_;  ///< null: one copy
};

}  // namespace diffprob::launch

#include "launch/train/head_groups.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <vector>

#include "launch/config/head_group.h"

namespace diffprob::launch {
namespace {

/// Ranks of each node, when all nodes have as many and hold them in a row; else 0. Collective.
int ranks_of_a_node(Runtime& runtime) {
  const std::vector<int> leaders = runtime.control().all_gather(runtime.mpi().node_leader());
  const auto size = static_cast<int>(std::count(leaders.begin(), leaders.end(), leaders.front()));
  for (int rank = 0; rank < runtime.world_size(); ++rank)
    if (leaders[static_cast<std::size_t>(rank)] != rank / size * size) return 0;
  return size;
}

}  // namespace

bool copy_per_node_pays(std::int64_t num_classes, std::int64_t global_batch, int node, int ranks) {
  return node > 0 && node < ranks && num_classes < global_batch * node;
}

int head_group_size(const Config& config, std::int64_t num_classes, Runtime& runtime) {
  const int ranks = runtime.world_size();
  const HeadGroup wanted = head_group_of(config.model.head_group);
  if (wanted.kind == HeadGroup::Kind::kRanks) {
    if (ranks % wanted.ranks != 0)
      throw ConfigError({fmt::format(
          "model.head_group: is {}, expected a divisor of the number of ranks, {}, or 0 for one "
          "copy of the classes over all ranks",
          wanted.ranks, ranks)});
    return wanted.ranks;
  }
  if (wanted.kind == HeadGroup::Kind::kAll || ranks == 1) return ranks;
  const int node = ranks_of_a_node(runtime);
  if (wanted.kind == HeadGroup::Kind::kAuto) {
    const bool tried = runtime.device().is_cpu();  // groups have not run on GPUs yet
    return tried && copy_per_node_pays(num_classes, config.train.batch_size, node, ranks) ? node
                                                                                          : ranks;
  }
  if (node == 0)
    throw ConfigError(
        {"model.head_group: node needs nodes with equally many ranks, numbered node by node "
         "(mpirun --map-by slot, srun --distribution=block); choose a number instead, or 0"});
  return node;
}

HeadGroups::HeadGroups(const Config& config, std::int64_t num_classes, Runtime& runtime)
    : world_(runtime.tensors()), size_(head_group_size(config, num_classes, runtime)) {
  const int ranks = runtime.world_size();
  if (size_ == ranks) return;
  std::vector<int> group, between;
  for (int i = 0; i < size_; ++i) group.push_back(runtime.rank() / size_ * size_ + i);
  for (int rank = runtime.rank() % size_; rank < ranks; rank += size_) between.push_back(rank);
  group_ = world_.subset("copy of the head", group);
  between_ = world_.subset("between copies of the head", between);
  group_->set_phase(dist::Phase::kStep);
  between_->set_phase(dist::Phase::kStep);
  spdlog::info("head: {} copies of the classes, each on {} ranks", copies(), size_);
}

model::HeadReplicas HeadGroups::replicas() const {
  return between_ ? model::HeadReplicas(*between_, size_) : model::HeadReplicas();
}

void HeadGroups::set_step(std::int64_t step) noexcept {
  if (group_) group_->set_step(step);
  if (between_) between_->set_step(step);
}

}  // namespace diffprob::launch

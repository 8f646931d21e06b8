#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "dist/mpi/environment.h"
#include "dist/mpi/host_collectives.h"

namespace diffprob::launch {

/// Place of a rank on its node.
struct NodePlace {
  int leader = 0;  ///< world rank of the first rank of the node
  int local_rank = 0;
  int local_size = 1;
  std::string host;
};
[[nodiscard]] NodePlace node_place(const dist::MpiEnvironment& mpi);

/// Copies data sets into `stage_dir` on each node before they are opened: the ranks of a node share
/// the parts of all files (4 MiB each), each part is read back and its SHA-256 noted. Parts of an
/// earlier copy that still have their digest are kept, others are copied again. The space on the
/// disk is checked first. Two jobs that want the same copy wait for each other, at most an hour.
/// Returns the paths to open, in the order of `paths`. Collective; an error on any rank is thrown
/// on all (data::DataError, naming the host).
[[nodiscard]] std::vector<std::string> stage_datasets(const std::vector<std::string>& paths,
                                                      const std::string& stage_dir,
                                                      const NodePlace& place,
                                                      dist::HostCollectives& control);

/// Compares what the ranks opened as `name`. When they differ, all throw data::DataError with
/// fingerprint, images and identities per node, and what to do. Collective.
void check_same_dataset(const data::Dataset& dataset, const std::string& name,
                        const NodePlace& place, dist::HostCollectives& control);

}  // namespace diffprob::launch

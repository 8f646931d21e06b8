#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "data/error.h"
#include "dist/mpi/agreement.h"
#include "dist/mpi/host_collectives.h"
#include "eval/neighbours/options.h"

namespace diffprob::eval {

/// Pairs that all ranks together may find in one pass: rank 0 holds and sorts all of them.
inline constexpr std::int64_t kMostPairs = std::int64_t{1} << 27;

/// Work of the ranks, cut into rounds of a few seconds. They meet after each, so that no rank waits
/// for long, and so that all stop when one has a problem.
class Rounds {
 public:
  /// What one rank did in a round.
  struct Done {
    std::int64_t units = 0;  ///< of the total
    std::int64_t found = 0;  ///< pairs that this rank holds
    bool has_more = false;
  };

  /// total: units of all ranks.
  Rounds(dist::HostCollectives& control, const NeighbourProgress& progress, std::string what,
         std::int64_t total)
      : control_(control), progress_(progress), what_(std::move(what)), total_(total) {}

  /// Runs work(), which returns Done and must not be collective. Returns true if some rank has more
  /// to do. Throws data::DataError on all ranks when work() threw on one of them, or when there are
  /// more than kMostPairs pairs. Collective.
  template <class Work>
  bool run(const Work& work) {
    dist::FirstProblem problem;
    Done done;
    bool failed = true;
    problem.run([&] {
      done = work();
      failed = false;
    });
    std::array<std::int64_t, 4> all = {done.units, done.found, done.has_more ? 1 : 0,
                                       failed ? 1 : 0};
    control_.all_reduce(std::span<std::int64_t>(all), dist::ReduceOp::kSum);
    if (all[3] > 0) problem.throw_together<data::DataError>(control_);
    if (all[1] > kMostPairs)
      throw data::DataError(what_ + ": more than " + std::to_string(kMostPairs) +
                            " pairs, which is not what duplicates look like: raise the least "
                            "cosine, or use embeddings of a network that was trained longer");
    done_ += all[0];
    if (progress_) progress_(what_, done_, total_);
    return all[2] > 0;
  }

 private:
  dist::HostCollectives& control_;
  const NeighbourProgress& progress_;
  std::string what_;
  std::int64_t total_;
  std::int64_t done_ = 0;
};

}  // namespace diffprob::eval

#pragma once

#include <functional>
#include <string>

#include "dist/mpi/host_collectives.h"
#include "prune/error.h"

namespace diffprob::prune {

/// Runs `work` on every rank; when it throws PruneError on some, all throw the message of the
/// lowest of them. `work` is not collective. Collective.
void together(dist::HostCollectives& collectives, const std::function<void()>& work);

/// First PruneError of work that runs between collectives: kept until all ranks can throw it
/// together, so that no rank waits for one that gave up.
class FirstProblem {
 public:
  /// Does nothing once there is a problem.
  template <class Work>
  void run(const Work& work) {
    if (failed_) return;
    try {
      work();
    } catch (const PruneError& error) {
      message_ = error.what();
      failed_ = true;
    }
  }
  /// Throws on all ranks when one has a problem. Collective.
  void throw_together(dist::HostCollectives& collectives) const;

 private:
  std::string message_;
  bool failed_ = false;
};

}  // namespace diffprob::prune

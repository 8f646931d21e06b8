#include "prune/agreement.h"

#include <algorithm>
#include <cstdint>

namespace diffprob::prune {

void together(dist::HostCollectives& collectives, const std::function<void()>& work) {
  FirstProblem problem;
  problem.run(work);
  problem.throw_together(collectives);
}

void FirstProblem::throw_together(dist::HostCollectives& collectives) const {
  const auto flags = collectives.all_gather(static_cast<std::int32_t>(failed_));
  const auto first = std::find(flags.begin(), flags.end(), 1);
  if (first != flags.end())
    throw PruneError(collectives.broadcast(message_, static_cast<int>(first - flags.begin())));
}

}  // namespace diffprob::prune

#include "prune/agreement.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "prune/error.h"

namespace diffprob::prune {

void together(dist::HostCollectives& collectives, const std::function<void()>& work) {
  std::string problem;
  std::int32_t failed = 0;
  try {
    work();
  } catch (const PruneError& error) {
    problem = error.what();
    failed = 1;
  }
  const auto flags = collectives.all_gather(failed);
  const auto first = std::find(flags.begin(), flags.end(), 1);
  if (first != flags.end()) throw PruneError(collectives.broadcast(problem, static_cast<int>(first - flags.begin())));
}

}  // namespace diffprob::prune

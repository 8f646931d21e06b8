#include "dist/mpi/subset.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "dist/mpi/check.h"
#include "dist/mpi/watchdog.h"

namespace diffprob::dist {

Subset::Subset(const std::vector<int>& ranks, int own, std::chrono::milliseconds timeout) {
  const auto found = std::find(ranks.begin(), ranks.end(), own);
  if (found == ranks.end())
    throw std::invalid_argument("rank " + std::to_string(own) + " is none of its own subset");
  rank_ = static_cast<int>(found - ranks.begin());
  const Watchdog watchdog("MPI_Comm_split on rank " + std::to_string(own), timeout);
  check_mpi(MPI_Comm_split(MPI_COMM_WORLD, ranks.front(), rank_, &comm_), "MPI_Comm_split");
}

Subset::~Subset() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (comm_ != MPI_COMM_NULL && finalized == 0) MPI_Comm_free(&comm_);
}

}  // namespace diffprob::dist

#pragma once

#include <mpi.h>

#include <chrono>
#include <vector>

namespace diffprob::dist {

/// Some ranks of MPI_COMM_WORLD as an MPI communicator of their own, for the making of a transport.
class Subset {
 public:
  /// Collective over MPI_COMM_WORLD: every rank names the ranks that it shares a subset with,
  /// itself among them, ascending. MPI cannot be called back from the split: the process ends when
  /// that passes its deadline. Throws std::invalid_argument when the own rank is not named.
  Subset(const std::vector<int>& ranks, int own, std::chrono::milliseconds timeout);
  ~Subset();
  Subset(const Subset&) = delete;
  Subset& operator=(const Subset&) = delete;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] MPI_Comm comm() const noexcept { return comm_; }

 private:
  int rank_ = 0;
  MPI_Comm comm_ = MPI_COMM_NULL;
};

}  // namespace diffprob::dist

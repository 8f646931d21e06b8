#pragma once

namespace diffprob::tests {

/// What this rank has asked MPI for since it was set to zero, in a program that links
/// mpi_calls.cpp, whose functions stand before MPI's.
struct MpiCalls {
  int messages = 0;    ///< MPI_Isend
  int reductions = 0;  ///< MPI_Iallreduce
};
extern MpiCalls mpi_calls;

}  // namespace diffprob::tests

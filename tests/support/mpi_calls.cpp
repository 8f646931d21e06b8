#include "tests/support/mpi_calls.h"

#include <mpi.h>

diffprob::tests::MpiCalls diffprob::tests::mpi_calls;

extern "C" {

int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request* request) {
  ++diffprob::tests::mpi_calls.messages;
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}

int MPI_Iallreduce(const void* own, void* result, int count, MPI_Datatype type, MPI_Op op,
                   MPI_Comm comm, MPI_Request* request) {
  ++diffprob::tests::mpi_calls.reductions;
  return PMPI_Iallreduce(own, result, count, type, op, comm, request);
}

}  // extern "C"

#include "dist/mpi/environment.h"

#include <mpi.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "dist/error.h"
#include "dist/mpi/backoff.h"
#include "dist/mpi/check.h"

namespace diffprob::dist {

namespace {

/// Open MPI over TCP holds a socket for each rank that it talks to: the usual soft limit of 1,024
/// descriptors stops a job near 1,000 ranks. The hard limit is what the administrator allows.
void raise_descriptor_limit() {
  rlimit limit{};
  constexpr rlim_t kEnough =
      rlim_t{1}
      << 20;  // where the hard limit is a billion, children that close all descriptors take minutes
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
      limit.rlim_cur >= std::min(limit.rlim_max, kEnough))
    return;
  limit.rlim_cur = std::min(limit.rlim_max, kEnough);
  static_cast<void>(
      ::setrlimit(RLIMIT_NOFILE, &limit));  // without it smaller jobs run as well as before
}

}  // namespace

MpiEnvironment::MpiEnvironment(int* argc, char*** argv) {
  raise_descriptor_limit();
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized != 0)
    throw CommError("MPI is already initialised: a process may hold only one MpiEnvironment");

  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_MULTIPLE)
    throw CommError(
        "this MPI library does not provide MPI_THREAD_MULTIPLE, which the progress thread needs");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &world_size_), "MPI_Comm_size");

  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node),
            "MPI_Comm_split_type");
  check_mpi(MPI_Comm_rank(node, &local_rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(node, &local_size_), "MPI_Comm_size");
  node_leader_ = rank_;
  check_mpi(MPI_Bcast(&node_leader_, 1, MPI_INT, 0, node), "MPI_Bcast");
  check_mpi(MPI_Comm_free(&node), "MPI_Comm_free");

  char name[MPI_MAX_PROCESSOR_NAME];
  int length = 0;
  check_mpi(MPI_Get_processor_name(name, &length), "MPI_Get_processor_name");
  host_name_.assign(name, static_cast<std::size_t>(length));
}

MpiEnvironment::~MpiEnvironment() {
  // MPI_Finalize ends here although a rank that came to it before is frozen in it; then nobody
  // would tell the launcher. So all come together first: a rank that is frozen while others are
  // still at work is missed there.
  MPI_Request all_are_here = MPI_REQUEST_NULL;
  int done = 0;
  if (MPI_Ibarrier(MPI_COMM_WORLD, &all_are_here) == MPI_SUCCESS) {
    Backoff backoff;
    while (done == 0 && MPI_Test(&all_are_here, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS)
      static_cast<void>(backoff.pause());
  }
  MPI_Finalize();
}

void MpiEnvironment::abort(int exit_code) noexcept {
  std::fflush(nullptr);
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);  // MPI_Abort may return while the launcher is still at work
}

}  // namespace diffprob::dist

#pragma once

#include <exception>
#include <string>

#include "data/error.h"
#include "dist/mpi/host_collectives.h"

namespace diffprob::eval {

/// Runs work() on every rank. When it throws on some, that exception goes on there, and the others
/// throw data::DataError which names the first such rank: nobody waits for a rank that has failed.
/// `what` says what was done. Collective; work() must not be.
template <class F>
void together(dist::HostCollectives& control, const std::string& what, const F& work) {
  std::exception_ptr error;
  try {
    work();
  } catch (...) {
    error = std::current_exception();
  }
  const int failed =
      control.all_reduce(error ? control.rank() : control.world_size(), dist::ReduceOp::kMin);
  if (error) std::rethrow_exception(error);
  if (failed < control.world_size())
    throw data::DataError(what + ": failed on rank " + std::to_string(failed) +
                          " (its own message says why)");
}

}  // namespace diffprob::eval

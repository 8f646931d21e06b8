#pragma once

#include <nccl.h>

#include <string>
#include <vector>

/// The NCCL functions that the program calls, on the host: what they answer, and how long they
/// take, is set here. The real library is not touched, because the program's own definitions come
/// first. Collectives are work on streams of tests/support/fake_device.h; the ranks are processes
/// of this machine and meet in shared memory. A rank that does not come keeps the others waiting
/// until they abort.
namespace diffprob::tests {

struct FakeNccl {
  int in_progress = 0;               ///< answers of ncclInProgress before an operation is taken
  bool hangs = false;                ///< operations stay in progress for ever, and are not begun
  ncclResult_t error = ncclSuccess;  ///< what an operation, or a later question, ends with
  ncclResult_t start_error = ncclSuccess;  ///< of ncclCommInitRankConfig
  bool abort_waits_for_graph =
      false;  ///< ncclCommAbort returns only once `graphs` is 0, as with captured operations
  int graphs = 0;
};

/// All of what follows is safe to call from any thread.
void set_fake_nccl(const FakeNccl& behaviour);
/// A CUDA graph that holds operations of the communicator is destroyed.
void destroy_fake_graph();
/// Whether ncclCommAbort has been called since the calls were forgotten: kernels end then.
[[nodiscard]] bool fake_nccl_is_aborted();
/// Names of the calls so far, in order: "init", "launch", "abort", "abort ended", "finalize",
/// "destroy"; a launch is followed by what it holds: "AllReduce", "AllGather", "ReduceScatter",
/// "Broadcast".
[[nodiscard]] std::vector<std::string> fake_nccl_calls();
void forget_fake_nccl_calls();

}  // namespace diffprob::tests

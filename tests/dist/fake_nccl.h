#pragma once

#include <nccl.h>

#include <string>
#include <vector>

/// The NCCL functions that NcclHandle calls, on the host: what they answer, and how long they take, is set here. A communicator is one of these
/// objects' places in a list; the real library is not touched, because the program's own definitions come first.
namespace diffprob::tests {

struct FakeNccl {
  int in_progress = 0;                        ///< answers of ncclInProgress before an operation is taken
  bool hangs = false;                         ///< operations stay in progress for ever
  ncclResult_t error = ncclSuccess;           ///< what an operation, or a later question, ends with
  ncclResult_t start_error = ncclSuccess;     ///< of ncclCommInitRankConfig
  bool abort_waits_for_graph = false;         ///< ncclCommAbort returns only once `graphs` is 0, as with captured operations
  int graphs = 0;
};

/// All of what follows is safe to call from any thread.
void set_fake_nccl(const FakeNccl& behaviour);
/// A CUDA graph that holds operations of the communicator is destroyed.
void destroy_fake_graph();
/// Names of the calls so far, in order: "init", "launch", "abort", "abort ended", "finalize", "destroy".
[[nodiscard]] std::vector<std::string> fake_nccl_calls();
void forget_fake_nccl_calls();

}  // namespace diffprob::tests

#include "tests/dist/fake_nccl.h"

#include <condition_variable>
#include <mutex>

namespace diffprob::tests {
namespace {

struct State {
  std::mutex mutex;
  std::condition_variable changed;
  FakeNccl behaviour;
  int asked = 0;  // since the operation began
  std::vector<std::string> calls;
};

State& state() {
  static State instance;
  return instance;
}

/// What an operation in flight answers. The lock is held.
ncclResult_t progress(State& s) {
  if (s.behaviour.hangs || s.asked < s.behaviour.in_progress) {
    ++s.asked;
    return ncclInProgress;
  }
  return s.behaviour.error;
}

ncclResult_t begin(const char* call, ncclResult_t refused) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.calls.emplace_back(call);
  s.asked = 0;
  return refused != ncclSuccess ? refused : progress(s);
}

}  // namespace

void set_fake_nccl(const FakeNccl& behaviour) {
  const std::lock_guard lock(state().mutex);
  state().behaviour = behaviour;
}

void destroy_fake_graph() {
  {
    const std::lock_guard lock(state().mutex);
    state().behaviour.graphs = 0;
  }
  state().changed.notify_all();
}

std::vector<std::string> fake_nccl_calls() {
  const std::lock_guard lock(state().mutex);
  return state().calls;
}

void forget_fake_nccl_calls() {
  const std::lock_guard lock(state().mutex);
  state().calls.clear();
}

}  // namespace diffprob::tests

using diffprob::tests::begin;
using diffprob::tests::progress;
using diffprob::tests::state;

extern "C" {

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int, ncclUniqueId, int, ncclConfig_t*) {
  ncclResult_t refused = ncclSuccess;
  {
    const std::lock_guard lock(state().mutex);
    refused = state().behaviour.start_error;
  }
  if (refused == ncclSuccess) *comm = reinterpret_cast<ncclComm_t>(&state());
  return begin("init", refused);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* result) {
  const std::lock_guard lock(state().mutex);
  *result = progress(state());
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  return begin("launch", ncclSuccess);
}

ncclResult_t ncclCommAbort(ncclComm_t) {
  auto& s = state();
  std::unique_lock lock(s.mutex);
  s.calls.emplace_back("abort");
  if (s.behaviour.abort_waits_for_graph) s.changed.wait(lock, [&] { return s.behaviour.graphs == 0; });
  s.calls.emplace_back("abort ended");
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t) {
  return begin("finalize", ncclSuccess);
}

ncclResult_t ncclCommDestroy(ncclComm_t) {
  return begin("destroy", ncclSuccess);
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote error" : "some error";
}

const char* ncclGetLastError(ncclComm_t) {
  return "peer 3 is gone";
}

}  // extern "C"

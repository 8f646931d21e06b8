#include "tests/dist/gpu/fake_nccl.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <random>

#include "tests/dist/gpu/fake_nccl_ranks.h"
#include "tests/support/fake_device.h"

/// What an ncclComm_t points to.
struct ncclComm {
  int rank = 0;
  int size = 1;
  std::string name;
  std::atomic<bool> aborted = false;
  std::unique_ptr<diffprob::tests::FakeNcclRanks>
      ranks{};  // made by the first collective, on its stream
};

namespace diffprob::tests {
namespace {

struct State {
  std::mutex mutex;
  std::condition_variable changed;
  FakeNccl behaviour;
  int asked = 0;  // since the operation began
  bool aborted = false;
  std::vector<std::string> calls;
};

State& state() {
  static auto* const instance = new State;  // streams outlive static objects
  return *instance;
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

// ---- collectives

at::ScalarType type_of(ncclDataType_t type) {
  switch (type) {
    case ncclFloat32:
      return at::kFloat;
    case ncclFloat64:
      return at::kDouble;
    case ncclBfloat16:
      return at::kBFloat16;
    case ncclFloat16:
      return at::kHalf;
    case ncclInt32:
      return at::kInt;
    case ncclInt64:
      return at::kLong;
    default:
      return at::kByte;
  }
}

struct Numbers {
  at::ScalarType type;
  std::size_t size;  // bytes of one
  ncclRedOp_t op = ncclSum;

  [[nodiscard]] at::Tensor at_place(const void* place, std::size_t bytes) const {
    return at::from_blob(const_cast<void*>(place), {static_cast<std::int64_t>(bytes / size)},
                         at::TensorOptions().dtype(type));
  }
  /// The reduction of all slots' bytes [from, from + bytes), in rank order.
  void reduce(const FakeNcclRanks& ranks, std::size_t from, std::size_t bytes,
              std::byte* to) const {
    at::Tensor sum = at_place(ranks.slot(0) + from, bytes).clone();
    for (int r = 1; r < ranks.size(); ++r) {
      const at::Tensor next = at_place(ranks.slot(r) + from, bytes);
      sum = op == ncclMax   ? at::maximum(sum, next)
            : op == ncclMin ? at::minimum(sum, next)
                            : sum + next;
    }
    std::memcpy(to, sum.data_ptr(), bytes);
  }
};

Numbers numbers_of(ncclDataType_t type, ncclRedOp_t op = ncclSum) {
  return {type_of(type), at::elementSize(type_of(type)), op};
}

/// Shows all ranks `own` in pieces; use(from, bytes): the slots hold the bytes [from, from + bytes)
/// of each rank.
void in_pieces(ncclComm& comm, const void* own, std::size_t bytes,
               const std::function<void(const FakeNcclRanks&, std::size_t, std::size_t)>& use) {
  if (!comm.ranks) {
    comm.ranks = std::make_unique<FakeNcclRanks>(comm.name, comm.rank, comm.size,
                                                 [&comm] { return comm.aborted.load(); });
  }
  for (std::size_t from = 0; from < bytes; from += FakeNcclRanks::kSlotBytes) {
    const std::size_t n = std::min(FakeNcclRanks::kSlotBytes, bytes - from);
    const auto* piece = static_cast<const std::byte*>(own) + from;
    if (comm.aborted || !comm.ranks->exchange(piece, n, [&] { use(*comm.ranks, from, n); })) return;
  }
}

struct Pending {
  const char* name;
  cudaStream_t stream;
  std::function<void()> work;
};
thread_local std::vector<Pending> group;

ncclResult_t add(const char* name, cudaStream_t stream, std::function<void()> work) {
  group.push_back({name, stream, std::move(work)});
  return ncclSuccess;
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

bool fake_nccl_is_aborted() {
  const std::lock_guard lock(state().mutex);
  return state().aborted;
}

std::vector<std::string> fake_nccl_calls() {
  const std::lock_guard lock(state().mutex);
  return state().calls;
}

void forget_fake_nccl_calls() {
  const std::lock_guard lock(state().mutex);
  state().calls.clear();
  state().aborted = false;
}

}  // namespace diffprob::tests

using namespace diffprob::tests;

extern "C" {

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::random_device
      random;  // a process number may come again, and find what a killed one has left
  std::snprintf(id->internal, sizeof(id->internal), "/diffprob.fake-nccl.%08x%08x%08x", random(),
                random(), random());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t*) {
  ncclResult_t refused = ncclSuccess;
  {
    const std::lock_guard lock(state().mutex);
    refused = state().behaviour.start_error;
  }
  if (refused == ncclSuccess) {
    *comm = new ncclComm;  // never destroyed: a stream may still be at it
    (*comm)->rank = rank;
    (*comm)->size = size;
    (*comm)->name = id.internal;
  }
  return begin("init", refused);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t* result) {
  const std::lock_guard lock(state().mutex);
  *result = progress(state());
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  group.clear();
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  const ncclResult_t answer = begin("launch", ncclSuccess);
  const std::lock_guard lock(state().mutex);
  if (state().behaviour.hangs) return answer;
  for (auto& [name, stream, work] : group) {
    state().calls.emplace_back(name);
    enqueue_on_fake_stream(stream, std::move(work));
  }
  return answer;
}

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return add("AllReduce", stream, [=, numbers = numbers_of(type, op)] {
    in_pieces(*comm, from, count * numbers.size,
              [&](const FakeNcclRanks& ranks, std::size_t at, std::size_t n) {
                numbers.reduce(ranks, 0, n, static_cast<std::byte*>(to) + at);
              });
  });
}

ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return add("AllGather", stream, [=, bytes = count * numbers_of(type).size] {
    in_pieces(*comm, from, bytes, [&](const FakeNcclRanks& ranks, std::size_t at, std::size_t n) {
      for (int r = 0; r < ranks.size(); ++r) {
        std::memcpy(static_cast<std::byte*>(to) + static_cast<std::size_t>(r) * bytes + at,
                    ranks.slot(r), n);
      }
    });
  });
}

ncclResult_t ncclReduceScatter(const void* from, void* to, std::size_t count, ncclDataType_t type,
                               ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return add("ReduceScatter", stream, [=, numbers = numbers_of(type, op)] {
    const std::size_t block = count * numbers.size;
    const std::size_t first =
        block * static_cast<std::size_t>(comm->rank);  // of this rank's part of the input
    in_pieces(*comm, from, block * static_cast<std::size_t>(comm->size),
              [&](const FakeNcclRanks& ranks, std::size_t at, std::size_t n) {
                const std::size_t begin = std::max(at, first);
                const std::size_t end = std::min(at + n, first + block);
                if (begin < end)
                  numbers.reduce(ranks, begin - at, end - begin,
                                 static_cast<std::byte*>(to) + (begin - first));
              });
  });
}

ncclResult_t ncclBroadcast(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream) {
  return add("Broadcast", stream, [=, bytes = count * numbers_of(type).size] {
    in_pieces(*comm, from, bytes, [&](const FakeNcclRanks& ranks, std::size_t at, std::size_t n) {
      std::memcpy(static_cast<std::byte*>(to) + at, ranks.slot(root), n);
    });
  });
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  auto& s = state();
  std::unique_lock lock(s.mutex);
  s.calls.emplace_back("abort");
  s.aborted = true;
  comm->aborted = true;
  if (s.behaviour.abort_waits_for_graph)
    s.changed.wait(lock, [&] { return s.behaviour.graphs == 0; });
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

#include "dist/gpu/nccl_handle.h"

#include <c10/util/StringUtil.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <exception>
#include <utility>

#include "dist/error.h"
#include "dist/mpi/backoff.h"

namespace diffprob::dist {
namespace {

void end_process_with(const std::string& reason) {
  spdlog::critical("{}; NCCL then failed to shut down its communicator: this process exits now",
                   reason);
  spdlog::default_logger()->flush();  // not shutdown(): other threads may log
  std::_Exit(1);
}

}  // namespace

NcclHandle::NcclHandle(const ncclUniqueId& id, int rank, int world_size,
                       std::chrono::milliseconds timeout, NcclAbortLimits limits)
    : limits_(std::move(limits)), rank_(rank), timeout_(timeout) {
  if (!limits_.end_process) limits_.end_process = end_process_with;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  const ncclResult_t state = ncclCommInitRankConfig(&comm, world_size, id, rank, &config);
  comm_ = comm;
  try {
    settle(comm, state, "initialisation of NCCL", timeout);
  } catch (const CommError& error) {
    abort(error.what());
    if (aborter_.joinable())
      aborter_.join();  // the destructor of an object that was never whole does not run
    if (guard_.joinable()) guard_.join();
    throw;
  }
}

NcclHandle::~NcclHandle() {
  ncclComm_t comm = nullptr;
  {
    const std::lock_guard lock(mutex_);
    comm = comm_;
  }
  if (comm != nullptr && std::uncaught_exceptions() > 0) {
    abort("the program is exiting after an error");  // the peers may never come
  } else if (comm != nullptr) {
    try {
      settle(comm, ncclCommFinalize(comm), "shutdown of NCCL", timeout_);
      ncclCommDestroy(comm);
    } catch (const std::exception& error) {
      spdlog::error("{}", error.what());
      abort(error.what());
    }
  }
  if (guard_.joinable()) guard_.join();
  if (aborter_.joinable()) aborter_.join();
}

/// Waits until NCCL is done with what it was asked for; throws CommError on failure.
void NcclHandle::settle(ncclComm_t comm, ncclResult_t state, const std::string& what,
                        std::chrono::milliseconds timeout) {
  Backoff backoff;
  while (state == ncclInProgress) {
    const ncclResult_t asked = ncclCommGetAsyncError(comm, &state);
    if (asked != ncclSuccess) state = asked;
    if (state == ncclInProgress && backoff.pause() > timeout) {
      throw CommError(c10::str(what, ": rank ", rank_, " waited ",
                               std::chrono::duration<double>(backoff.elapsed()).count(),
                               " s for NCCL"));
    }
  }
  if (state == ncclSuccess) return;
  const char* detail = comm == nullptr ? "" : ncclGetLastError(comm);
  throw CommError(
      c10::str(what, " failed on rank ", rank_, ": ", ncclGetErrorString(state), "; ", detail));
}

void NcclHandle::launch(const std::string& what, std::chrono::milliseconds timeout,
                        const std::function<void(ncclComm_t)>& calls) {
  try {
    const std::lock_guard lock(mutex_);
    if (comm_ == nullptr) throw CommError(what + ": the communicator is dead since: " + reason_);
    ncclGroupStart();
    calls(comm_);  // an error inside a group is the group's error
    settle(comm_, ncclGroupEnd(), what, timeout);
  } catch (const CommError& error) {
    abort(error.what());  // the lock is free
    throw;
  }
}

void NcclHandle::check_alive(const std::string& what) {
  std::string problem;
  {
    const std::lock_guard lock(mutex_);
    if (comm_ == nullptr) throw CommError(what + ": the communicator is dead since: " + reason_);
    ncclResult_t state = ncclSuccess;
    ncclCommGetAsyncError(comm_, &state);
    if (state == ncclSuccess || state == ncclInProgress) return;
    problem = c10::str(what, " failed on rank ", rank_, ": ", ncclGetErrorString(state), "; ",
                       ncclGetLastError(comm_));
  }
  abort(problem);
  throw CommError(problem);
}

void NcclHandle::abort(const std::string& reason) noexcept {
  try {
    std::unique_lock lock(mutex_);
    if (comm_ != nullptr) {
      reason_ = reason;
      aborting_ = true;
      const ncclComm_t comm = std::exchange(comm_, nullptr);
      aborter_ = std::thread([this, comm] {
        ncclCommAbort(comm);
        const std::lock_guard end(mutex_);
        aborting_ = false;
        abort_ended_.notify_all();
      });
      guard_ = std::thread([this, reason] { guard_abort(reason); });
    }
    abort_ended_.wait_for(lock, limits_.caller, [this] { return !aborting_; });
  } catch (const std::exception& error) {  // no thread to be had
    spdlog::error("abort of NCCL: {}", error.what());
  }
}

void NcclHandle::guard_abort(const std::string& reason) {
  std::unique_lock lock(mutex_);
  if (abort_ended_.wait_for(lock, limits_.last_resort, [this] { return !aborting_; })) return;
  lock.unlock();
  limits_.end_process(reason);
}

}  // namespace diffprob::dist

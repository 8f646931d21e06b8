#include "dist/nccl_handle.h"

#include <c10/util/StringUtil.h>
#include <spdlog/spdlog.h>

#include <exception>

#include "dist/backoff.h"
#include "dist/error.h"

namespace diffprob::dist {

NcclHandle::NcclHandle(const ncclUniqueId& id, int rank, int world_size, std::chrono::milliseconds timeout)
    : rank_(rank), timeout_(timeout) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  settle(ncclCommInitRankConfig(&comm_, world_size, id, rank, &config), "start of NCCL", timeout);
}

NcclHandle::~NcclHandle() {
  const std::lock_guard lock(mutex_);
  if (comm_ == nullptr) return;
  if (std::uncaught_exceptions() > 0) {
    abort_locked("the program is ending on an error");  // the peers may never come
    return;
  }
  try {
    settle(ncclCommFinalize(comm_), "end of NCCL", timeout_);
    ncclCommDestroy(comm_);
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
  }
}

void NcclHandle::settle(ncclResult_t state, const std::string& what, std::chrono::milliseconds timeout) {
  Backoff backoff;
  while (state == ncclInProgress) {
    const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
    if (asked != ncclSuccess) state = asked;
    if (state == ncclInProgress && backoff.pause() > timeout) {
      fail(c10::str(what, ": rank ", rank_, " waited ", std::chrono::duration<double>(backoff.elapsed()).count(), " s for NCCL"));
    }
  }
  if (state == ncclSuccess) return;
  const char* detail = comm_ == nullptr ? "" : ncclGetLastError(comm_);
  fail(c10::str(what, " failed on rank ", rank_, ": ", ncclGetErrorString(state), "; ", detail));
}

void NcclHandle::launch(const std::string& what, std::chrono::milliseconds timeout, const std::function<void(ncclComm_t)>& calls) {
  const std::lock_guard lock(mutex_);
  if (comm_ == nullptr) throw CommError(what + ": the communicator is dead since: " + reason_);
  ncclGroupStart();
  calls(comm_);  // an error inside a group is the group's error
  settle(ncclGroupEnd(), what, timeout);
}

void NcclHandle::check_alive(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (comm_ == nullptr) throw CommError(what + ": the communicator is dead since: " + reason_);
  ncclResult_t state = ncclSuccess;
  ncclCommGetAsyncError(comm_, &state);
  if (state == ncclSuccess || state == ncclInProgress) return;
  fail(c10::str(what, " failed on rank ", rank_, ": ", ncclGetErrorString(state), "; ", ncclGetLastError(comm_)));
}

void NcclHandle::abort(const std::string& reason) noexcept {
  const std::lock_guard lock(mutex_);
  abort_locked(reason);
}

void NcclHandle::fail(const std::string& reason) {
  abort_locked(reason);
  throw CommError(reason);
}

void NcclHandle::abort_locked(const std::string& reason) noexcept {
  if (comm_ == nullptr) return;
  reason_ = reason;
  ncclCommAbort(comm_);
  comm_ = nullptr;
}

}  // namespace diffprob::dist

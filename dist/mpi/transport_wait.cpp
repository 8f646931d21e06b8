// How calls of the transport wait, and how they end when something is wrong.
#include <algorithm>
#include <cstdio>
#include <utility>

#include "dist/error.h"
#include "dist/mpi/abandoned.h"
#include "dist/mpi/backoff.h"
#include "dist/mpi/check.h"
#include "dist/mpi/transport.h"

namespace diffprob::dist {
namespace {

// Nobody sends a message with this tag. Every MPI grants tags up to 32767.
constexpr int kProgressTag = RollCall::kAnswerTag + 1;

std::string seconds_text(std::chrono::nanoseconds waited) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3f s", std::chrono::duration<double>(waited).count());
  return text;
}

}  // namespace

void MpiTransport::begin(std::string_view what) {
  if (!failure_.empty())
    throw CommError(std::string(what) + ": the communicator is dead since: " + failure_);
  if (aborted_.load(std::memory_order_relaxed))
    fail(std::string(what) + ": the communicator was aborted");
  requests_.clear();
  receipts_.clear();
}

void MpiTransport::fail(const std::string& message) {
  failure_ = message;
  // MPI cannot call a collective back: a late peer may still fill or read these.
  if (scratch_) abandon(std::exchange(scratch_, nullptr));
  if (start_) abandon(start_);
  if (ahead_) abandon(ahead_);
  throw CommError(message);
}

void MpiTransport::check(int code, std::string_view what) {
  if (code == MPI_SUCCESS) return;
  try {
    check_mpi(code, what);
  } catch (const CommError& error) {
    fail(error.what() + (" on rank " + name_of(rank_)));
  }
}

std::string MpiTransport::who(std::string_view what) const {
  std::string place =
      options_.recorder ? options_.recorder->describe(options_.recorder->oldest_open()) : "";
  if (!place.empty()) place.insert(0, " ");
  const std::string own =
      options_.recorder ? options_.recorder->who()
                        : "rank " + std::to_string(rank_) + " of " + std::to_string(world_size_);
  return std::string(what) + place + ": " + own;
}

std::string MpiTransport::name_of(int rank) const {
  return std::to_string(options_.recorder ? options_.recorder->world_rank(rank) : rank);
}

void MpiTransport::fail_if_aborted(std::string_view what, std::chrono::nanoseconds waited) {
  if (aborted_.load(std::memory_order_relaxed))
    fail(who(what) + " was aborted after " + seconds_text(waited));
}

std::vector<int> MpiTransport::silent_senders() {
  std::vector<int> silent;
  for (std::size_t i = 0; i < receipts_.size(); ++i) {
    int done = 0;
    if (MPI_Test(&requests_[i], &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done == 0)
      silent.push_back(receipts_[i].source);
  }
  std::sort(silent.begin(), silent.end());
  // A rank sends several chunks of a long message, and is named once.
  silent.erase(std::unique(silent.begin(), silent.end()), silent.end());
  return silent;
}

void MpiTransport::fail_late(std::string_view what, std::chrono::nanoseconds waited,
                             const std::vector<int>& missing, std::int64_t sequence) {
  std::string text =
      who(what) + " waited " + seconds_text(waited) + "; the deadline is " + seconds_text(timeout_);
  if (!missing.empty()) text += "; nothing from rank";
  for (const int rank : missing) text += " " + name_of(rank);
  fail(text + roll_call(text, sequence));
}

void MpiTransport::await(std::int64_t bytes, std::string_view what, std::int64_t sequence) {
  std::vector<MPI_Status> statuses(requests_.size());
  Backoff backoff(bytes);
  while (true) {
    int done = 0;
    const int code =
        MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, statuses.data());
    if (code == MPI_ERR_IN_STATUS) {
      // The code alone does not say what went wrong; the statuses of the failed requests do.
      for (const auto& status : statuses) {
        if (status.MPI_ERROR != MPI_ERR_PENDING) check(status.MPI_ERROR, who(what));
      }
    }
    check(code, what);
    if (done != 0) break;
    fail_if_aborted(what, backoff.elapsed());
    if (backoff.pause() > timeout_) fail_late(what, backoff.elapsed(), silent_senders(), sequence);
  }
  check_receipts(statuses, what);
}

void MpiTransport::await(const Condition& condition, std::int64_t bytes, std::string_view what) {
  Backoff backoff(bytes);
  for (int turn = 1; !condition.reached(); ++turn) {
    fail_if_aborted(what, backoff.elapsed());
    if (backoff.pause() > timeout_) fail_late(what, backoff.elapsed(), condition.missing());
    if (turn % 16 == 0) {
      // Any call of MPI lets the messages of other communicators go on. This one is rare enough not
      // to slow the flags down.
      int found = 0;
      check(MPI_Iprobe(MPI_ANY_SOURCE, kProgressTag, comm_, &found, MPI_STATUS_IGNORE), what);
    }
  }
}

void MpiTransport::check_receipts(const std::vector<MPI_Status>& statuses, std::string_view what) {
  for (std::size_t i = 0; i < receipts_.size(); ++i) {
    int bytes = 0;
    check(MPI_Get_count(&statuses[i], MPI_BYTE, &bytes), what);
    if (bytes == receipts_[i].bytes) continue;
    fail(std::string(what) + ": rank " + name_of(rank_) + " expected " +
         std::to_string(receipts_[i].bytes) + " bytes from rank " + name_of(receipts_[i].source) +
         ", found " + std::to_string(bytes));
  }
}

}  // namespace diffprob::dist

#include "dist/mpi/transport.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <utility>

#include "dist/mpi/abandoned.h"
#include "dist/mpi/backoff.h"
#include "dist/mpi/check.h"
#include "dist/mpi/watchdog.h"

namespace diffprob::dist {
namespace {

// Exchanges take the tags below those of the roll call in turn.
constexpr int kTags = RollCall::kQuestionTag;
// The tag of the messages of the start, which travel on the parent.
constexpr int kStartTag = RollCall::kAnswerTag + 2;
// How long the end of a communicator waits for an exchange whose result nobody will read. All ranks
// that end well have begun that exchange.
constexpr std::chrono::milliseconds kLastAhead{5000};

}  // namespace

/// What MPI may still write to when the start has failed: the copy of the parent that is being
/// made, and one byte from every rank that has arrived, which tells who is missing.
struct MpiTransport::Start {
  MPI_Comm copy = MPI_COMM_NULL;
  std::byte own{};
  std::vector<std::byte> arrivals;
};

/// One exchange of max_of_last_call.
struct MpiTransport::Ahead {
  std::int32_t own = 0;
  std::int32_t largest = 0;
  // Of the call that began the exchange: the ranks that are missing are those that have not made
  // it.
  std::int64_t sequence = 0;
  MPI_Request request = MPI_REQUEST_NULL;
};

namespace {

/// Some ranks of the world while a transport is made for them, or all of them.
class Ranks {
 public:
  /// MPI cannot be called back from the split: the process ends when that passes its deadline.
  Ranks(const std::vector<int>& ranks, std::chrono::milliseconds timeout) {
    if (ranks.empty()) return;
    int own = 0;
    check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &own), "MPI_Comm_rank");
    if (std::find(ranks.begin(), ranks.end(), own) == ranks.end())
      throw std::invalid_argument("rank " + std::to_string(own) + " is none of its own ranks");
    const Watchdog watchdog("MPI_Comm_split on rank " + std::to_string(own), timeout);
    check_mpi(MPI_Comm_split(MPI_COMM_WORLD, ranks.front(), own, &part_), "MPI_Comm_split");
  }
  ~Ranks() {
    // After a deadline messages of the start are still under way on it.
    if (part_ != MPI_COMM_NULL && std::uncaught_exceptions() == 0) MPI_Comm_free(&part_);
  }
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  [[nodiscard]] MPI_Comm comm() const noexcept {
    return part_ == MPI_COMM_NULL ? MPI_COMM_WORLD : part_;
  }

 private:
  MPI_Comm part_ = MPI_COMM_NULL;
};

}  // namespace

MpiTransport::MpiTransport(std::chrono::milliseconds timeout, TransportOptions options)
    : timeout_(timeout), options_(std::move(options)) {
  if (options_.chunk_bytes < 16 || options_.chunk_bytes > INT_MAX)
    throw std::invalid_argument("chunk_bytes must be in [16, INT_MAX]");
  const Ranks ranks(options_.ranks, timeout);
  check(MPI_Comm_rank(ranks.comm(), &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(ranks.comm(), &world_size_), "MPI_Comm_size");
  if (world_size_ == 1) return;
  duplicate(ranks.comm(), "creation of a communicator");
  check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  if (options_.recorder) roll_call_ = std::make_unique<RollCall>(comm_, options_.recorder);
}

// MPI alone would only say that the copy is not made yet, never which rank it waits for. So every
// rank also sends a byte to every other one: ranks without a byte are named after the deadline.
void MpiTransport::duplicate(MPI_Comm parent, std::string_view what) {
  start_ = std::make_shared<Start>();
  start_->arrivals.resize(static_cast<std::size_t>(world_size_));
  for (int step = 1; step < world_size_; ++step) {
    const int peer = (rank_ + step) % world_size_;
    receipts_.push_back({peer, 1});
    check(MPI_Irecv(&start_->arrivals[static_cast<std::size_t>(peer)], 1, MPI_BYTE, peer, kStartTag,
                    parent, &requests_.emplace_back()),
          what);
  }
  for (int step = 1; step < world_size_; ++step) {
    const int peer = (rank_ + world_size_ - step) % world_size_;
    check(MPI_Isend(&start_->own, 1, MPI_BYTE, peer, kStartTag, parent, &requests_.emplace_back()),
          what);
  }
  check(MPI_Comm_idup(parent, &start_->copy, &requests_.emplace_back()), "MPI_Comm_idup");
  await(0, what);
  comm_ = start_->copy;
  start_.reset();
}

MpiTransport::~MpiTransport() {
  roll_call_.reset();
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (comm_ != MPI_COMM_NULL && failure_.empty() && finalized == 0 && end_ahead())
    MPI_Comm_free(&comm_);
}

// Returns true if nothing is under way on the communicator, which may then be freed.
bool MpiTransport::end_ahead() noexcept {
  if (!ahead_ || ahead_->request == MPI_REQUEST_NULL) return true;
  Backoff backoff;
  int done = 0;
  const auto patience = std::uncaught_exceptions() > 0 ? std::chrono::milliseconds(0)
                                                       : std::min(timeout_, kLastAhead);
  while (MPI_Test(&ahead_->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done == 0 &&
         backoff.pause() < patience) {
  }
  if (done == 0) abandon(ahead_);
  return done != 0;
}

void MpiTransport::post_receives(std::span<const Incoming> incoming, int tag,
                                 std::string_view what) {
  for (int step = 1; step < world_size_; ++step) {
    // Each rank starts with another peer, so that no rank is everybody's first target.
    const int peer = (rank_ + step) % world_size_;
    const auto& part = incoming[static_cast<std::size_t>(peer)];
    for (std::int64_t at = 0; at < part.bytes; at += options_.chunk_bytes) {
      const int n = static_cast<int>(std::min(options_.chunk_bytes, part.bytes - at));
      receipts_.push_back({peer, n});
      check(MPI_Irecv(part.data + at, n, MPI_BYTE, peer, tag, comm_, &requests_.emplace_back()),
            what);
    }
  }
}

void MpiTransport::post_sends(std::span<const Outgoing> outgoing, int tag, std::string_view what) {
  for (int step = 1; step < world_size_; ++step) {
    const int peer = (rank_ + world_size_ - step) % world_size_;
    const auto& part = outgoing[static_cast<std::size_t>(peer)];
    for (std::int64_t at = 0; at < part.bytes; at += options_.chunk_bytes) {
      const int n = static_cast<int>(std::min(options_.chunk_bytes, part.bytes - at));
      check(MPI_Isend(part.data + at, n, MPI_BYTE, peer, tag, comm_, &requests_.emplace_back()),
            what);
    }
  }
}

void MpiTransport::exchange(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming,
                            std::string_view what) {
  begin(what);
  const auto own = static_cast<std::size_t>(rank_);
  if (outgoing[own].bytes > 0 && incoming[own].data != outgoing[own].data) {
    std::memmove(incoming[own].data, outgoing[own].data,
                 static_cast<std::size_t>(outgoing[own].bytes));
  }
  if (world_size_ == 1) return;
  // A tag of its own per call: calls that do not match never take each other's messages.
  sequence_ = (sequence_ + 1) % kTags;
  // Receives go first, so that MPI finds a buffer for what arrives and need not copy it.
  post_receives(incoming, sequence_, what);
  post_sends(outgoing, sequence_, what);
  std::int64_t bytes = 0;
  for (const auto& part : incoming) bytes += part.bytes;
  for (const auto& part : outgoing) bytes += part.bytes;
  await(bytes, what);
}

void MpiTransport::barrier(std::string_view what) {
  begin(what);
  if (world_size_ == 1) return;
  check(MPI_Ibarrier(comm_, &requests_.emplace_back()), what);
  await(0, what);
}

void MpiTransport::broadcast(std::byte* data, std::int64_t bytes, int root, std::string_view what) {
  begin(what);
  if (world_size_ == 1) return;
  for (std::int64_t at = 0; at < bytes; at += options_.chunk_bytes) {
    begin(what);
    const auto n = std::min(options_.chunk_bytes, bytes - at);
    check(MPI_Ibcast(data + at, static_cast<int>(n), MPI_BYTE, root, comm_,
                     &requests_.emplace_back()),
          what);
    await(n, what);
  }
}

void MpiTransport::all_gather(const std::byte* input, std::byte* output,
                              std::span<const std::int64_t> byte_counts, std::string_view what) {
  const std::vector<Outgoing> outgoing(byte_counts.size(),
                                       {input, byte_counts[static_cast<std::size_t>(rank_)]});
  std::vector<Incoming> incoming;
  for (const auto n : byte_counts) {
    incoming.push_back({output, n});
    output += n;
  }
  exchange(outgoing, incoming, what);
}

std::int32_t MpiTransport::max_of_last_call(std::int32_t own, std::string_view what) {
  begin(what);
  std::int32_t largest = 0;
  if (ahead_) {
    if (world_size_ > 1) {
      requests_ = {ahead_->request};
      await(0, what, ahead_->sequence);
    }
    largest = ahead_->largest;
    ahead_.reset();
  }
  if (largest != 0) return largest;
  ahead_ = std::make_shared<Ahead>(
      Ahead{own, own, options_.recorder ? options_.recorder->enqueued() : 0});
  if (world_size_ == 1) return 0;
  check(MPI_Iallreduce(&ahead_->own, &ahead_->largest, 1, MPI_INT32_T, MPI_MAX, comm_,
                       &ahead_->request),
        what);
  return 0;
}

void MpiTransport::progress() noexcept {
  if (!ahead_ || ahead_->request == MPI_REQUEST_NULL || !failure_.empty()) return;
  int done = 0;
  // Unlike MPI_Test this keeps the request, and an error shows in the next max_of_last_call().
  MPI_Request_get_status(ahead_->request, &done, MPI_STATUS_IGNORE);
}

std::byte* MpiTransport::scratch(std::int64_t bytes) {
  if (bytes > scratch_bytes_) {
    scratch_ = std::make_shared_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes));
    scratch_bytes_ = bytes;
  }
  return scratch_.get();
}

}  // namespace diffprob::dist

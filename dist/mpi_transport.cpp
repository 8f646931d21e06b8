#include "dist/mpi_transport.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "dist/abandoned.h"
#include "dist/backoff.h"
#include "dist/error.h"
#include "dist/mpi_check.h"

namespace diffprob::dist {
namespace {

// Below this many bytes in all, one exchange of everything beats two exchanges of parts.
constexpr std::int64_t kDirectBytes = 128 << 10;
// A rank's share of one round of a large all_reduce: what was received is still in the cache when it is summed.
constexpr std::int64_t kShareBytes = 256 << 10;
constexpr int kTags = 1 << 14;  // every MPI grants tags up to 32767

std::string seconds_text(std::chrono::nanoseconds waited) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3f s", std::chrono::duration<double>(waited).count());
  return text;
}

}  // namespace

MpiTransport::MpiTransport(std::chrono::milliseconds timeout, std::int64_t chunk_bytes) : timeout_(timeout), chunk_bytes_(chunk_bytes) {
  if (chunk_bytes < 16 || chunk_bytes > INT_MAX) throw std::invalid_argument("chunk_bytes must be in [16, INT_MAX]");
  check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(MPI_COMM_WORLD, &world_size_), "MPI_Comm_size");
  if (world_size_ == 1) return;
  requests_.resize(1);
  check(MPI_Comm_idup(MPI_COMM_WORLD, &comm_, requests_.data()), "MPI_Comm_idup");
  await(0, "start of a communicator");
  check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

MpiTransport::~MpiTransport() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (comm_ != MPI_COMM_NULL && failure_.empty() && finalized == 0) MPI_Comm_free(&comm_);
}

void MpiTransport::begin(std::string_view what) {
  if (!failure_.empty()) throw CommError(std::string(what) + ": the communicator is dead since: " + failure_);
  if (aborted_.load(std::memory_order_relaxed)) fail(std::string(what) + ": the communicator was aborted");
  requests_.clear();
  receipts_.clear();
}

void MpiTransport::fail(const std::string& message) {
  failure_ = message;
  if (scratch_) abandon(std::exchange(scratch_, nullptr));
  throw CommError(message);
}

void MpiTransport::check(int code, std::string_view what) {
  if (code == MPI_SUCCESS) return;
  try {
    check_mpi(code, what);
  } catch (const CommError& error) {
    fail(error.what() + (" on rank " + std::to_string(rank_)));
  }
}

std::string MpiTransport::missing_ranks() {
  std::vector<int> missing;
  for (std::size_t i = 0; i < receipts_.size(); ++i) {
    int done = 0;
    if (MPI_Test(&requests_[i], &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done == 0) missing.push_back(receipts_[i].source);
  }
  std::sort(missing.begin(), missing.end());
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  if (missing.empty()) return "";
  std::string text = "; nothing from rank";
  for (const int rank : missing) text += " " + std::to_string(rank);
  return text;
}

void MpiTransport::await(std::int64_t bytes, std::string_view what) {
  const auto who = [&] { return std::string(what) + ": rank " + std::to_string(rank_) + " of " + std::to_string(world_size_); };
  std::vector<MPI_Status> statuses(requests_.size());
  Backoff backoff(bytes);
  while (true) {
    int done = 0;
    const int code = MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, statuses.data());
    if (code == MPI_ERR_IN_STATUS) {
      for (const auto& status : statuses) {
        if (status.MPI_ERROR != MPI_ERR_PENDING) check(status.MPI_ERROR, who());
      }
    }
    check(code, who());
    if (done != 0) break;
    if (aborted_.load(std::memory_order_relaxed)) fail(who() + " was aborted after " + seconds_text(backoff.elapsed()));
    if (backoff.pause() > timeout_) {
      fail(who() + " waited " + seconds_text(backoff.elapsed()) + ", the deadline is " + seconds_text(timeout_) + missing_ranks());
    }
  }
  check_receipts(statuses, what);
}

void MpiTransport::check_receipts(const std::vector<MPI_Status>& statuses, std::string_view what) {
  for (std::size_t i = 0; i < receipts_.size(); ++i) {
    int bytes = 0;
    check(MPI_Get_count(&statuses[i], MPI_BYTE, &bytes), what);
    if (bytes == receipts_[i].bytes) continue;
    fail(std::string(what) + ": rank " + std::to_string(rank_) + " expected " + std::to_string(receipts_[i].bytes) + " bytes from rank " +
         std::to_string(receipts_[i].source) + ", found " + std::to_string(bytes));
  }
}

void MpiTransport::post_receives(std::span<const Incoming> incoming, int tag, std::string_view what) {
  for (int step = 1; step < world_size_; ++step) {
    const int peer = (rank_ + step) % world_size_;  // each rank starts with another peer
    const auto& part = incoming[static_cast<std::size_t>(peer)];
    for (std::int64_t at = 0; at < part.bytes; at += chunk_bytes_) {
      const int n = static_cast<int>(std::min(chunk_bytes_, part.bytes - at));
      receipts_.push_back({peer, n});
      check(MPI_Irecv(part.data + at, n, MPI_BYTE, peer, tag, comm_, &requests_.emplace_back()), what);
    }
  }
}

void MpiTransport::post_sends(std::span<const Outgoing> outgoing, int tag, std::string_view what) {
  for (int step = 1; step < world_size_; ++step) {
    const int peer = (rank_ + world_size_ - step) % world_size_;
    const auto& part = outgoing[static_cast<std::size_t>(peer)];
    for (std::int64_t at = 0; at < part.bytes; at += chunk_bytes_) {
      const int n = static_cast<int>(std::min(chunk_bytes_, part.bytes - at));
      check(MPI_Isend(part.data + at, n, MPI_BYTE, peer, tag, comm_, &requests_.emplace_back()), what);
    }
  }
}

void MpiTransport::exchange(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming, std::string_view what) {
  begin(what);
  const auto own = static_cast<std::size_t>(rank_);
  if (outgoing[own].bytes > 0 && incoming[own].data != outgoing[own].data) {
    std::memmove(incoming[own].data, outgoing[own].data, static_cast<std::size_t>(outgoing[own].bytes));
  }
  if (world_size_ == 1) return;
  sequence_ = (sequence_ + 1) % kTags;  // calls that do not match never take each other's messages
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
  for (std::int64_t at = 0; at < bytes; at += chunk_bytes_) {
    begin(what);
    const auto n = std::min(chunk_bytes_, bytes - at);
    check(MPI_Ibcast(data + at, static_cast<int>(n), MPI_BYTE, root, comm_, &requests_.emplace_back()), what);
    await(n, what);
  }
}

void MpiTransport::all_gather(const std::byte* input, std::byte* output, std::span<const std::int64_t> byte_counts, std::string_view what) {
  const std::vector<Outgoing> outgoing(byte_counts.size(), {input, byte_counts[static_cast<std::size_t>(rank_)]});
  std::vector<Incoming> incoming;
  for (const auto n : byte_counts) {
    incoming.push_back({output, n});
    output += n;
  }
  exchange(outgoing, incoming, what);
}

void MpiTransport::all_reduce(std::byte* data, std::int64_t count, LocalReduce reduce, std::string_view what) {
  begin(what);
  if (world_size_ == 1) return;
  const std::int64_t piece = std::min(chunk_bytes_, kShareBytes * world_size_) / reduce.element_bytes;
  for (std::int64_t at = 0; at < count; at += piece) {
    const std::int64_t n = std::min(piece, count - at);
    const bool direct = world_size_ == 2 || n * reduce.element_bytes * world_size_ <= kDirectBytes;
    std::byte* part = data + at * reduce.element_bytes;
    direct ? all_reduce_direct(part, n, reduce, what) : all_reduce_split(part, n, reduce, what);
  }
}

/// Everybody sends everything to everybody and reduces all of it.
void MpiTransport::all_reduce_direct(std::byte* data, std::int64_t count, LocalReduce reduce, std::string_view what) {
  const std::int64_t bytes = count * reduce.element_bytes;
  const auto ranks = static_cast<std::size_t>(world_size_);
  std::byte* memory = scratch(bytes * world_size_);
  const std::vector<Outgoing> outgoing(ranks, {data, bytes});
  std::vector<Incoming> incoming(ranks);
  std::vector<const std::byte*> inputs(ranks);
  for (int r = 0; r < world_size_; ++r) {
    const auto i = static_cast<std::size_t>(r);
    incoming[i] = {r == rank_ ? data : memory + r * bytes, bytes};
    inputs[i] = incoming[i].data;
  }
  exchange(outgoing, incoming, what);
  reduce.run(data, inputs, count);
}

/// Rank r reduces block r of all ranks, then everybody gathers the blocks: the least traffic there can be.
void MpiTransport::all_reduce_split(std::byte* data, std::int64_t count, LocalReduce reduce, std::string_view what) {
  std::vector<std::int64_t> counts;
  std::vector<std::int64_t> byte_counts;
  for (int r = 0; r < world_size_; ++r) {
    counts.push_back(count * (r + 1) / world_size_ - count * r / world_size_);
    byte_counts.push_back(counts.back() * reduce.element_bytes);
  }
  std::byte* own = data + count * rank_ / world_size_ * reduce.element_bytes;
  reduce_scatter(data, own, counts, reduce, what);
  all_gather(own, data, byte_counts, what);
}

void MpiTransport::reduce_scatter(const std::byte* input, std::byte* output, std::span<const std::int64_t> counts, LocalReduce reduce,
                                  std::string_view what) {
  const std::int64_t size = reduce.element_bytes;
  const auto ranks = static_cast<std::size_t>(world_size_);
  const auto own = static_cast<std::size_t>(rank_);
  const std::int64_t piece = std::max<std::int64_t>(1, chunk_bytes_ / size / world_size_);  // scratch memory stays within a chunk
  const std::int64_t longest = *std::max_element(counts.begin(), counts.end());
  std::vector<Outgoing> outgoing(ranks);
  std::vector<Incoming> incoming(ranks);
  std::vector<const std::byte*> inputs(ranks);
  begin(what);
  for (std::int64_t at = 0; at < longest; at += piece) {
    const auto part = [&](std::size_t r) { return std::clamp<std::int64_t>(counts[r] - at, 0, piece); };
    std::byte* memory = scratch(part(own) * size * world_size_);
    std::int64_t block = 0;  // first element of rank r's block
    for (std::size_t r = 0; r < ranks; ++r) {
      outgoing[r] = {input + (block + std::min(at, counts[r])) * size, part(r) * size};
      incoming[r] = {memory + static_cast<std::int64_t>(r) * part(own) * size, part(own) * size};
      inputs[r] = incoming[r].data;
      block += counts[r];
    }
    exchange(outgoing, incoming, what);
    if (part(own) > 0) reduce.run(output + at * size, inputs, part(own));
  }
}

std::byte* MpiTransport::scratch(std::int64_t bytes) {
  if (bytes > scratch_bytes_) {
    scratch_ = std::make_shared_for_overwrite<std::byte[]>(static_cast<std::size_t>(bytes));
    scratch_bytes_ = bytes;
  }
  return scratch_.get();
}

}  // namespace diffprob::dist

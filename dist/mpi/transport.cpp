#include "dist/mpi/transport.h"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstring>
#include <exception>
#include <random>
#include <stdexcept>
#include <utility>

#include "dist/error.h"
#include "dist/mpi/abandoned.h"
#include "dist/mpi/backoff.h"
#include "dist/mpi/check.h"

namespace diffprob::dist {
namespace {

// Below this many bytes in all, one exchange of everything beats two exchanges of parts.
constexpr std::int64_t kDirectBytes = 128 << 10;
// A rank's share of one round of a large all_reduce: what was received is still in the cache when
// it is summed.
constexpr std::int64_t kShareBytes = 256 << 10;
constexpr int kTags = RollCall::kQuestionTag;
constexpr int kProgressTag =
    RollCall::kAnswerTag + 1;                // nobody sends it; every MPI grants tags up to 32767
constexpr int kStartTag = kProgressTag + 1;  // on MPI_COMM_WORLD
// Below this many bytes, all ranks of a node reducing everything beats a share each and a second
// round of waiting.
constexpr std::int64_t kNodeDirectBytes = 16 << 10;
// How long the end of a communicator waits for an exchange whose result nobody will read: all ranks
// that end well have begun it.
constexpr std::chrono::milliseconds kLastAhead{5000};

std::string seconds_text(std::chrono::nanoseconds waited) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3f s", std::chrono::duration<double>(waited).count());
  return text;
}

}  // namespace

/// Rank 0's offer of node memory; name[0] == 0: there is none.
struct MpiTransport::NodeOffer {
  char name[56] = {};
  std::int64_t accepted = 0;
};

/// What MPI may still write to when the start has failed: the copy of MPI_COMM_WORLD that is being
/// made, and a byte from every rank that goes along, so that it is known who is missing.
struct MpiTransport::Start {
  MPI_Comm copy = MPI_COMM_NULL;
  std::byte own{};
  std::vector<std::byte> arrivals;
};

/// One exchange of max_of_last_call.
struct MpiTransport::Ahead {
  std::int32_t own = 0;
  std::int32_t largest = 0;
  std::int64_t sequence =
      0;  // of the call that began it: ranks that have not made that call are missed
  MPI_Request request = MPI_REQUEST_NULL;
};

MpiTransport::MpiTransport(std::chrono::milliseconds timeout, TransportOptions options)
    : timeout_(timeout), options_(std::move(options)) {
  if (options_.chunk_bytes < 16 || options_.chunk_bytes > INT_MAX)
    throw std::invalid_argument("chunk_bytes must be in [16, INT_MAX]");
  check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(MPI_COMM_WORLD, &world_size_), "MPI_Comm_size");
  if (world_size_ == 1) return;
  duplicate_world("creation of a communicator");
  check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  if (options_.recorder) roll_call_ = std::make_unique<RollCall>(comm_, options_.recorder);
}

/// MPI alone would say that the copy is not there, never which rank it waits for.
void MpiTransport::duplicate_world(std::string_view what) {
  start_ = std::make_shared<Start>();
  start_->arrivals.resize(static_cast<std::size_t>(world_size_));
  for (int step = 1; step < world_size_; ++step) {
    const int peer = (rank_ + step) % world_size_;
    receipts_.push_back({peer, 1});
    check(MPI_Irecv(&start_->arrivals[static_cast<std::size_t>(peer)], 1, MPI_BYTE, peer, kStartTag,
                    MPI_COMM_WORLD, &requests_.emplace_back()),
          what);
  }
  for (int step = 1; step < world_size_; ++step) {
    const int peer = (rank_ + world_size_ - step) % world_size_;
    check(MPI_Isend(&start_->own, 1, MPI_BYTE, peer, kStartTag, MPI_COMM_WORLD,
                    &requests_.emplace_back()),
          what);
  }
  check(MPI_Comm_idup(MPI_COMM_WORLD, &start_->copy, &requests_.emplace_back()), "MPI_Comm_idup");
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

/// Whether nothing is under way on the communicator, which may go then.
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
  if (scratch_) abandon(std::exchange(scratch_, nullptr));
  if (offer_) abandon(offer_);
  if (start_) abandon(start_);
  if (ahead_) abandon(ahead_);
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

std::string MpiTransport::who(std::string_view what) const {
  std::string place =
      options_.recorder ? options_.recorder->describe(options_.recorder->oldest_open()) : "";
  if (!place.empty()) place.insert(0, " ");
  return std::string(what) + place + ": rank " + std::to_string(rank_) + " of " +
         std::to_string(world_size_);
}

std::vector<int> MpiTransport::silent_senders() {
  std::vector<int> silent;
  for (std::size_t i = 0; i < receipts_.size(); ++i) {
    int done = 0;
    if (MPI_Test(&requests_[i], &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done == 0)
      silent.push_back(receipts_[i].source);
  }
  std::sort(silent.begin(), silent.end());
  silent.erase(std::unique(silent.begin(), silent.end()), silent.end());
  return silent;
}

void MpiTransport::fail_late(std::string_view what, std::chrono::nanoseconds waited,
                             const std::vector<int>& missing, std::int64_t sequence) {
  std::string text =
      who(what) + " waited " + seconds_text(waited) + "; the deadline is " + seconds_text(timeout_);
  if (!missing.empty()) text += "; nothing from rank";
  for (const int rank : missing) text += " " + std::to_string(rank);
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
      for (const auto& status : statuses) {
        if (status.MPI_ERROR != MPI_ERR_PENDING) check(status.MPI_ERROR, who(what));
      }
    }
    check(code, what);
    if (done != 0) break;
    if (aborted_.load(std::memory_order_relaxed))
      fail(who(what) + " was aborted after " + seconds_text(backoff.elapsed()));
    if (backoff.pause() > timeout_) fail_late(what, backoff.elapsed(), silent_senders(), sequence);
  }
  check_receipts(statuses, what);
}

void MpiTransport::await_node(NodeMemory::Stage stage, std::uint64_t piece, std::int64_t bytes,
                              std::string_view what) {
  Backoff backoff(bytes);
  for (int turn = 1; !node_->reached(stage, piece); ++turn) {
    if (aborted_.load(std::memory_order_relaxed))
      fail(who(what) + " was aborted after " + seconds_text(backoff.elapsed()));
    if (backoff.pause() > timeout_) fail_late(what, backoff.elapsed(), node_->behind(stage, piece));
    if (turn % 16 == 0) {  // messages of other communicators go on meanwhile
      int found = 0;
      check(MPI_Iprobe(MPI_ANY_SOURCE, kProgressTag, comm_, &found, MPI_STATUS_IGNORE), what);
    }
  }
  if (stage != NodeMemory::Stage::kArrived) return;
  for (int r = 0; r < world_size_; ++r) {
    const std::int64_t found = node_->published_bytes(r, piece);
    if (found == bytes) continue;
    fail(who(what) + " expected " + std::to_string(bytes) + " bytes from rank " +
         std::to_string(r) + ", found " + std::to_string(found));
  }
}

void MpiTransport::check_receipts(const std::vector<MPI_Status>& statuses, std::string_view what) {
  for (std::size_t i = 0; i < receipts_.size(); ++i) {
    int bytes = 0;
    check(MPI_Get_count(&statuses[i], MPI_BYTE, &bytes), what);
    if (bytes == receipts_[i].bytes) continue;
    fail(std::string(what) + ": rank " + std::to_string(rank_) + " expected " +
         std::to_string(receipts_[i].bytes) + " bytes from rank " +
         std::to_string(receipts_[i].source) + ", found " + std::to_string(bytes));
  }
}

void MpiTransport::post_receives(std::span<const Incoming> incoming, int tag,
                                 std::string_view what) {
  for (int step = 1; step < world_size_; ++step) {
    const int peer = (rank_ + step) % world_size_;  // each rank starts with another peer
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
  MPI_Request_get_status(ahead_->request, &done,
                         MPI_STATUS_IGNORE);  // an error shows in the next call of max_of_last_call
}

void MpiTransport::all_reduce(std::byte* data, std::int64_t count, LocalReduce reduce,
                              std::string_view what) {
  begin(what);
  if (world_size_ == 1 || count == 0) return;
  if (!offer_) share_node_memory(what);
  node_ ? all_reduce_node(data, count, reduce, what)
        : all_reduce_messages(data, count, reduce, what);
}

/// Once, at the first all_reduce: rank 0 creates the memory, all others map it, or nobody uses it.
void MpiTransport::share_node_memory(std::string_view what) {
  offer_ = std::make_shared<NodeOffer>();
  if (options_.node_path == TransportOptions::NodePath::kMessages) return;
  if (rank_ == 0) {
    std::random_device random;
    std::snprintf(offer_->name, sizeof(offer_->name), "/diffprob.%08x%08x%08x", random(), random(),
                  random());
    if (!NodeMemory::create(offer_->name, world_size_)) offer_->name[0] = 0;
  }
  const auto remove = [](NodeOffer* offer) { NodeMemory::unlink(offer->name); };
  const std::unique_ptr<NodeOffer, decltype(remove)> created(
      rank_ == 0 && offer_->name[0] != 0 ? offer_.get() : nullptr, remove);
  broadcast(reinterpret_cast<std::byte*>(offer_->name), sizeof(offer_->name), 0, what);
  if (offer_->name[0] == 0) return;
  auto memory = NodeMemory::open(offer_->name, rank_, world_size_);
  if (agree(memory != nullptr, what)) node_ = std::move(memory);
}

bool MpiTransport::agree(bool own, std::string_view what) {
  offer_->accepted = own ? 1 : 0;
  all_reduce_messages(reinterpret_cast<std::byte*>(&offer_->accepted), 1,
                      local_reduce<std::int64_t>(ReduceOp::kMin), what);
  return offer_->accepted != 0;
}

void MpiTransport::all_reduce_node(std::byte* data, std::int64_t count, const LocalReduce& reduce,
                                   std::string_view what) {
  const std::int64_t size = reduce.element_bytes;
  const std::int64_t longest = node_->slot_bytes() / size;
  const bool small = count * size <= std::min(kNodeDirectBytes, longest * size);
  const auto publish = [&](std::int64_t at) {
    const auto which = small ? NodeMemory::Publish::kAll : NodeMemory::Publish::kOthersShares;
    return node_->publish(data + at * size, std::min(longest, count - at), size, which);
  };
  std::uint64_t piece = publish(0);
  for (std::int64_t at = 0; at < count; at += longest, ++piece) {
    const std::int64_t n = std::min(longest, count - at);
    await_node(NodeMemory::Stage::kArrived, piece, n * size, what);
    if (small) return node_->reduce_all(data, count, reduce, piece);
    if (at + n < count) publish(at + n);
    node_->reduce_share(data + at * size, n, reduce, piece);
    await_node(NodeMemory::Stage::kReduced, piece, n * size, what);
    node_->collect(data + at * size, n * size, piece);
  }
}

void MpiTransport::all_reduce_messages(std::byte* data, std::int64_t count,
                                       const LocalReduce& reduce, std::string_view what) {
  const std::int64_t piece =
      std::min(options_.chunk_bytes, kShareBytes * world_size_) / reduce.element_bytes;
  for (std::int64_t at = 0; at < count; at += piece) {
    const std::int64_t n = std::min(piece, count - at);
    const bool direct = world_size_ == 2 || n * reduce.element_bytes * world_size_ <= kDirectBytes;
    std::byte* part = data + at * reduce.element_bytes;
    direct ? all_reduce_direct(part, n, reduce, what) : all_reduce_split(part, n, reduce, what);
  }
}

/// Everybody sends everything to everybody and reduces all of it.
void MpiTransport::all_reduce_direct(std::byte* data, std::int64_t count, LocalReduce reduce,
                                     std::string_view what) {
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

/// Rank r reduces block r of all ranks, then everybody gathers the blocks: the least traffic there
/// can be.
void MpiTransport::all_reduce_split(std::byte* data, std::int64_t count, LocalReduce reduce,
                                    std::string_view what) {
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

void MpiTransport::reduce_scatter(const std::byte* input, std::byte* output,
                                  std::span<const std::int64_t> counts, LocalReduce reduce,
                                  std::string_view what) {
  const std::int64_t size = reduce.element_bytes;
  const auto ranks = static_cast<std::size_t>(world_size_);
  const auto own = static_cast<std::size_t>(rank_);
  const std::int64_t piece = std::max<std::int64_t>(
      1, options_.chunk_bytes / size / world_size_);  // scratch memory stays within a chunk
  const std::int64_t longest = *std::max_element(counts.begin(), counts.end());
  std::vector<Outgoing> outgoing(ranks);
  std::vector<Incoming> incoming(ranks);
  std::vector<const std::byte*> inputs(ranks);
  begin(what);
  for (std::int64_t at = 0; at < longest; at += piece) {
    const auto part = [&](std::size_t r) {
      return std::clamp<std::int64_t>(counts[r] - at, 0, piece);
    };
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

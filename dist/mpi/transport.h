#pragma once

#include <mpi.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dist/flight_recorder.h"
#include "dist/mpi/local_reduce.h"
#include "dist/mpi/node_memory.h"
#include "dist/mpi/roll_call.h"

namespace diffprob::dist {

struct Outgoing {
  const std::byte* data;
  std::int64_t bytes;
};
struct Incoming {
  std::byte* data;
  std::int64_t bytes;
};

struct TransportOptions {
  std::int64_t chunk_bytes =
      std::int64_t{64}
      << 20;  ///< of a message, in [16, INT_MAX], the same on all ranks; small values are for tests
  /// kShared: all_reduce goes through memory that the ranks share when all of them are on one node
  /// (kMessages otherwise, and there).
  enum class NodePath { kShared, kMessages } node_path = NodePath::kShared;
  /// With a recorder, a deadline is told with the operation's number, place and step, and the ranks
  /// that did not arrive.
  std::shared_ptr<FlightRecorder> recorder;
};

/// Blocking collectives over raw host memory on an own duplicate of MPI_COMM_WORLD; HostCollectives
/// and MpiCommunicator stand on it. Every wait polls non-blocking MPI operations or flags in shared
/// memory, ends at the deadline with a CommError that names the operation, this rank, the seconds
/// and the ranks that are missing, and gives the core away meanwhile. Reductions are done here in
/// rank order, not by MPI: the same bits on every rank whatever algorithm MPI would choose, and one
/// code for the 16-bit types. No message is longer than chunk_bytes, so counts never leave an int.
/// One thread at a time. After a CommError the object is dead: later calls throw again. Buffers of
/// a failed call must stay alive (see abandon()); its own scratch memory does.
class MpiTransport {
 public:
  /// Collective.
  explicit MpiTransport(std::chrono::milliseconds timeout, TransportOptions options = {});
  ~MpiTransport();
  MpiTransport(const MpiTransport&) = delete;
  MpiTransport& operator=(const MpiTransport&) = delete;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int world_size() const noexcept { return world_size_; }
  void set_timeout(std::chrono::milliseconds timeout) noexcept { timeout_ = timeout; }
  /// From any thread: a wait in progress ends with CommError within a poll.
  void abort() noexcept { aborted_.store(true, std::memory_order_relaxed); }
  /// For operations that wait elsewhere (NCCL): what RollCall::call() returns; empty without a
  /// recorder or peers. From any thread.
  [[nodiscard]] std::string roll_call(const std::string& reason,
                                      std::int64_t sequence = 0) noexcept {
    return roll_call_ ? roll_call_->call(reason, sequence) : "";
  }

  void barrier(std::string_view what);
  /// outgoing[r] goes to rank r, incoming[r] comes from it. Both sides know the sizes; own part is
  /// copied.
  void exchange(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming,
                std::string_view what);
  /// `output` holds the parts of all ranks in rank order, byte_counts[r] bytes each; `input` is
  /// this rank's part.
  void all_gather(const std::byte* input, std::byte* output,
                  std::span<const std::int64_t> byte_counts, std::string_view what);
  /// In place, `count` elements.
  void all_reduce(std::byte* data, std::int64_t count, LocalReduce reduce, std::string_view what);
  /// `input` holds sum(counts) elements; `output` receives block `rank` (counts[rank] elements) of
  /// the reduction.
  void reduce_scatter(const std::byte* input, std::byte* output,
                      std::span<const std::int64_t> counts, LocalReduce reduce,
                      std::string_view what);
  void broadcast(std::byte* data, std::int64_t bytes, int root, std::string_view what);

  /// The largest of the numbers that the ranks gave in the call before this one, 0 in the first.
  /// The exchange of this call's numbers goes on while the ranks do other work: O(log W) messages a
  /// rank, made by MPI, and no waiting when the next call comes late enough and MPI has been
  /// entered meanwhile (by any operation, or by progress()). A result other than 0 starts no new
  /// exchange: `own` is dropped.
  [[nodiscard]] std::int32_t max_of_last_call(std::int32_t own, std::string_view what);
  /// Lets such an exchange go on. Not collective; one thread at a time with the calls above; does
  /// nothing on a dead object.
  void progress() noexcept;

 private:
  struct Receipt {
    int source;
    int bytes;
  };
  void post_receives(std::span<const Incoming> incoming, int tag, std::string_view what);
  void post_sends(std::span<const Outgoing> outgoing, int tag, std::string_view what);
  void await(std::int64_t bytes, std::string_view what, std::int64_t sequence = 0);
  void check_receipts(const std::vector<MPI_Status>& statuses, std::string_view what);
  void await_node(NodeMemory::Stage stage, std::uint64_t piece, std::int64_t bytes,
                  std::string_view what);
  [[nodiscard]] std::vector<int> silent_senders();
  [[nodiscard]] std::string who(std::string_view what) const;
  [[noreturn]] void fail(const std::string& message);
  [[noreturn]] void fail_late(std::string_view what, std::chrono::nanoseconds waited,
                              const std::vector<int>& missing, std::int64_t sequence = 0);
  void check(int code, std::string_view what);
  void begin(std::string_view what);
  [[nodiscard]] bool end_ahead() noexcept;
  void duplicate_world(std::string_view what);
  void share_node_memory(std::string_view what);
  [[nodiscard]] bool agree(bool own, std::string_view what);
  void all_reduce_node(std::byte* data, std::int64_t count, const LocalReduce& reduce,
                       std::string_view what);
  void all_reduce_messages(std::byte* data, std::int64_t count, const LocalReduce& reduce,
                           std::string_view what);
  void all_reduce_direct(std::byte* data, std::int64_t count, LocalReduce reduce,
                         std::string_view what);
  void all_reduce_split(std::byte* data, std::int64_t count, LocalReduce reduce,
                        std::string_view what);
  [[nodiscard]] std::byte* scratch(std::int64_t bytes);

  int rank_ = 0;
  int world_size_ = 1;
  std::chrono::milliseconds timeout_;
  TransportOptions options_;
  MPI_Comm comm_ = MPI_COMM_NULL;
  int sequence_ = 0;
  std::vector<MPI_Request> requests_;  // receives first, in the order of receipts_
  std::vector<Receipt> receipts_;
  std::shared_ptr<std::byte[]> scratch_;
  std::int64_t scratch_bytes_ = 0;
  struct Start;
  std::shared_ptr<Start> start_;  // null after construction
  struct NodeOffer;
  std::shared_ptr<NodeOffer> offer_;  // null until the first all_reduce
  std::unique_ptr<NodeMemory> node_;  // null: messages
  struct Ahead;
  std::shared_ptr<Ahead> ahead_;  // null: no exchange of max_of_last_call is under way
  std::atomic<bool> aborted_{false};
  std::string failure_;
  std::unique_ptr<RollCall> roll_call_;  // null without a recorder or peers
};

}  // namespace diffprob::dist

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

/// Something other than a message that a rank waits for, such as flags in shared memory.
class Condition {
 public:
  [[nodiscard]] virtual bool reached() const = 0;
  /// Returns the ranks that are waited for.
  [[nodiscard]] virtual std::vector<int> missing() const = 0;

 protected:
  ~Condition() = default;
};

struct TransportOptions {
  /// Ranks of the world that take part, ascending; empty: all. Then every rank of the world makes a
  /// transport at the same time and names the ranks that it shares one with.
  std::vector<int> ranks{};
  /// Longest message in bytes, in [16, INT_MAX], the same on all ranks. Small values are for tests.
  std::int64_t chunk_bytes = std::int64_t{64} << 20;
  /// With a recorder, the error after a deadline names the operation's number, place and step, and
  /// the ranks that did not arrive.
  std::shared_ptr<FlightRecorder> recorder;
};

/// Moves raw host memory between the ranks, on a communicator of its own, with blocking
/// calls. The reductions (AllReduce, reduce_scatter) use it; HostCollectives and MpiCommunicator
/// stand on both. Every wait polls non-blocking MPI operations or a Condition and gives the core
/// away meanwhile. It ends at the deadline with a CommError that names the operation, this rank,
/// the seconds and the ranks that are missing. No message is longer than chunk_bytes, so counts
/// never leave an int. One thread at a time. After a CommError the object is dead: later calls
/// throw again. Buffers of a failed call must stay alive (see abandon()); scratch memory does.
class MpiTransport {
 public:
  /// Collective over all ranks of the world.
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

  // What algorithms made of several calls need.

  [[nodiscard]] std::int64_t chunk_bytes() const noexcept { return options_.chunk_bytes; }
  /// Begins a call: throws a CommError if the object is dead or aborted.
  void begin(std::string_view what);
  /// Waits until the condition is reached. `bytes` says how much the other ranks have to move.
  void await(const Condition& condition, std::int64_t bytes, std::string_view what);
  /// Ends the call and the object with a CommError.
  [[noreturn]] void fail(const std::string& message);
  /// Names the operation and this rank, as errors begin.
  [[nodiscard]] std::string who(std::string_view what) const;
  /// Returns memory that stays alive after a failed call. The next call with a larger number frees
  /// it.
  [[nodiscard]] std::byte* scratch(std::int64_t bytes);

 private:
  struct Receipt {
    int source;
    int bytes;
  };
  void post_receives(std::span<const Incoming> incoming, int tag, std::string_view what);
  void post_sends(std::span<const Outgoing> outgoing, int tag, std::string_view what);
  void await(std::int64_t bytes, std::string_view what, std::int64_t sequence = 0);
  void check_receipts(const std::vector<MPI_Status>& statuses, std::string_view what);
  [[nodiscard]] std::vector<int> silent_senders();
  void fail_if_aborted(std::string_view what, std::chrono::nanoseconds waited);
  [[noreturn]] void fail_late(std::string_view what, std::chrono::nanoseconds waited,
                              const std::vector<int>& missing, std::int64_t sequence = 0);
  void check(int code, std::string_view what);
  [[nodiscard]] bool end_ahead() noexcept;
  void duplicate(MPI_Comm parent, std::string_view what);
  /// The rank of the world that messages name.
  [[nodiscard]] std::string name_of(int rank) const;

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
  struct Ahead;
  std::shared_ptr<Ahead> ahead_;  // null: no exchange of max_of_last_call is under way
  std::atomic<bool> aborted_{false};
  std::string failure_;
  std::unique_ptr<RollCall> roll_call_;  // null without a recorder or peers
};

}  // namespace diffprob::dist

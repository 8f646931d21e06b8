#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dist/deadlines.h"

namespace diffprob::dist {

enum class OperationState : std::uint8_t { kEnqueued, kStarted, kFinished, kFailed };

/// What a collective is: `kind` and `dtype` have static storage; `where` is the line that called
/// it.
struct OperationInfo {
  std::string_view kind;
  std::string_view dtype;
  std::span<const std::int64_t> sizes;
  std::source_location where;
};

struct OperationRecord {
  static constexpr std::size_t kDims = 5;

  std::int64_t sequence = 0;  ///< 1, 2, ...: the same number on all ranks is the same collective
  std::string_view kind;
  std::string_view dtype;
  std::array<std::int64_t, kDims> sizes{};  ///< further dimensions are multiplied into the last
  std::size_t dims = 0;
  Phase phase = Phase::kStartup;
  std::int64_t step = -1;  ///< -1 before the first set_step()
  std::source_location where;
  OperationState state = OperationState::kEnqueued;
  std::chrono::system_clock::time_point enqueued;
  std::chrono::system_clock::time_point started;   ///< epoch when unknown (NCCL)
  std::chrono::system_clock::time_point finished;  ///< or failed; epoch before
};

/// The last operations of one communicator, for the day when one does not end. A record costs a
/// clock and an uncontended lock. Thread-safe. All recorders of a process are written together by
/// write_operations() (dist/mpi/operations_file.h).
class FlightRecorder {
 public:
  static constexpr std::size_t kCapacity = 256;

  /// Enters the new recorder in the list of the process.
  [[nodiscard]] static std::shared_ptr<FlightRecorder> make(std::string name, int rank,
                                                            int world_size);
  /// Of a communicator of some ranks of the world, `own` among them.
  [[nodiscard]] static std::shared_ptr<FlightRecorder> make(std::string name,
                                                            const std::vector<int>& ranks, int own);

  void set_phase(Phase phase) noexcept;
  void set_step(std::int64_t step) noexcept;

  /// Returns the sequence number of the new operation.
  std::int64_t enqueue(const OperationInfo& operation);
  void start(std::int64_t sequence) noexcept;
  void finish(std::int64_t sequence) noexcept;
  void fail(std::int64_t sequence) noexcept;

  /// Number of the last operation that was called here; 0 before the first.
  [[nodiscard]] std::int64_t enqueued() const;
  /// The oldest operation that has not finished, 0 when none is open.
  [[nodiscard]] std::int64_t oldest_open() const;
  /// "#12 float32 [64, 512] (step 7, train/train_step.cpp:88)"; "" for an operation that is no
  /// longer held.
  [[nodiscard]] std::string describe(std::int64_t sequence) const;
  /// Where this rank stands: "in all_reduce #12 ..." or "done with all_reduce #12 ...".
  [[nodiscard]] std::string position() const;
  /// Oldest first.
  [[nodiscard]] std::vector<OperationRecord> records() const;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int world_size() const noexcept { return world_size_; }
  /// Rank of the world that messages name for a rank of this communicator.
  [[nodiscard]] int world_rank(int rank) const noexcept {
    return members_.empty() ? rank : members_[static_cast<std::size_t>(rank)];
  }
  /// "rank 5 of 8", or "rank 5 of ranks 4 5 6 7" in a subset of the world.
  [[nodiscard]] std::string who() const;

 private:
  FlightRecorder(std::string name, int rank, int world_size, std::vector<int> members);
  [[nodiscard]] static std::shared_ptr<FlightRecorder> enter(
      std::shared_ptr<FlightRecorder> recorder);
  [[nodiscard]] OperationRecord* find(std::int64_t sequence) noexcept;
  [[nodiscard]] const OperationRecord* find(std::int64_t sequence) const noexcept;
  void close(std::int64_t sequence, OperationState state) noexcept;

  const std::string name_;
  const int rank_;
  const int world_size_;
  const std::vector<int> members_;
  mutable std::mutex mutex_;
  std::vector<OperationRecord> ring_;  // operation n lives at n % kCapacity
  std::int64_t enqueued_ = 0;
  std::int64_t closed_ = 0;  // operations end in order
  Phase phase_ = Phase::kStartup;
  std::int64_t step_ = -1;
};

/// Recorders that are alive in this process, in the order they were made.
[[nodiscard]] std::vector<std::shared_ptr<const FlightRecorder>> live_recorders();

[[nodiscard]] std::string_view to_string(OperationState state);
[[nodiscard]] std::string_view to_string(Phase phase);
/// "[64, 512]"
[[nodiscard]] std::string shape_text(const OperationRecord& record);
/// "train/train_step.cpp:88": the last two parts of the path.
[[nodiscard]] std::string source_text(const std::source_location& where);

/// A collective that runs while this object lives: started now, finished or (when left by an
/// exception) failed at the end.
class RecordedOperation {
 public:
  RecordedOperation(FlightRecorder& recorder, const OperationInfo& operation);
  ~RecordedOperation();
  RecordedOperation(const RecordedOperation&) = delete;
  RecordedOperation& operator=(const RecordedOperation&) = delete;

 private:
  FlightRecorder& recorder_;
  std::int64_t sequence_;
  int exceptions_;
};

}  // namespace diffprob::dist

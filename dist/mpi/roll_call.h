#pragma once

#include <mpi.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dist/flight_recorder.h"

namespace diffprob::dist {

/// Who is where, asked by a rank whose deadline has passed. An own thread looks for such questions
/// ten times a second: it writes this rank's operations and answers while the other threads
/// compute, read files or wait, so that only a process that is frozen, gone or cut off stays
/// silent. A rank that has asked in its turn counts as heard, since it may have left by now without
/// answering. Point-to-point messages on `comm`, with tags nobody else uses; every wait is bounded.
class RollCall {
 public:
  static constexpr int kQuestionTag = 1 << 14;  // the transport's own tags lie below
  static constexpr int kAnswerTag = kQuestionTag + 1;

  /// `comm` must outlive this object, and MPI must grant MPI_THREAD_MULTIPLE.
  RollCall(MPI_Comm comm, std::shared_ptr<FlightRecorder> recorder);
  ~RollCall();
  RollCall(const RollCall&) = delete;
  RollCall& operator=(const RollCall&) = delete;

  /// Writes this rank's operations, asks all others, waits up to two seconds. Returns "; rank 1 did
  /// not answer (frozen, terminated or disconnected); rank 2 did not arrive: done with all_gather
  /// #11 ...; the last operations are in FILE", or "" when that fails. Asks once: later calls,
  /// which wait for the first, get the same text. sequence: of the operation that others may not
  /// have called; 0: the oldest that is open here.
  [[nodiscard]] std::string call(const std::string& reason, std::int64_t sequence = 0) noexcept;

 private:
  static constexpr std::int64_t kNotAsked = -1;
  struct Answer;
  void listen();
  void answer_questions();
  void answer(int asker);
  [[nodiscard]] std::string ask(const std::string& reason, std::int64_t sequence);
  [[nodiscard]] std::string absentees(const std::vector<Answer>& answers,
                                      std::vector<MPI_Request>& requests, std::int64_t sequence);
  [[nodiscard]] static bool has_answered(MPI_Request& request);
  [[nodiscard]] std::int64_t question_of(std::size_t rank);  // or kNotAsked

  MPI_Comm comm_;
  std::shared_ptr<FlightRecorder> recorder_;
  std::mutex call_mutex_;
  bool called_ = false;
  std::string absentees_text_;
  std::vector<std::pair<MPI_Request, std::shared_ptr<Answer>>>
      sent_;  // touched by the thread alone
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::vector<std::int64_t> asked_;  // by rank of `comm`: the operation in its question
  std::thread thread_;
};

}  // namespace diffprob::dist

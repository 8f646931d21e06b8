#include "dist/mpi/roll_call.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "dist/mpi/abandoned.h"
#include "dist/mpi/backoff.h"
#include "dist/mpi/check.h"
#include "dist/mpi/operations_file.h"

namespace diffprob::dist {
namespace {

constexpr std::chrono::milliseconds kInterval{100};
constexpr std::chrono::seconds kPatience{2};

}  // namespace

struct RollCall::Answer {
  std::int64_t enqueued = 0;
  char position[248] = {};
};

RollCall::RollCall(MPI_Comm comm, std::shared_ptr<FlightRecorder> recorder)
    : comm_(comm),
      recorder_(std::move(recorder)),
      asked_(static_cast<std::size_t>(recorder_->world_size()), kNotAsked),
      thread_([this] { listen(); }) {}

RollCall::~RollCall() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
  for (auto& [request, buffer] : sent_) {
    int done = 0;
    if (MPI_Test(&request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || done == 0)
      abandon(std::move(buffer));
  }
}

void RollCall::listen() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kInterval, [this] { return stop_; })) {
    lock.unlock();
    int finalized = 0;
    if (MPI_Finalized(&finalized) != MPI_SUCCESS || finalized != 0) return;
    try {
      answer_questions();
    } catch (const std::exception& error) {
      spdlog::error("roll call on {}: {}", recorder_->who(), error.what());
      return;
    }
    lock.lock();
  }
}

void RollCall::answer_questions() {
  while (true) {
    int found = 0;
    MPI_Status status;
    check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kQuestionTag, comm_, &found, &status), "MPI_Iprobe");
    if (found == 0) return;
    std::int64_t sequence = 0;
    check_mpi(MPI_Recv(&sequence, 1, MPI_INT64_T, status.MPI_SOURCE, kQuestionTag, comm_,
                       MPI_STATUS_IGNORE),
              "MPI_Recv");
    (void)write_operations("rank " + std::to_string(recorder_->world_rank(status.MPI_SOURCE)) +
                           " exceeded its deadline in operation #" + std::to_string(sequence) +
                           " of communicator " + recorder_->name());
    answer(status.MPI_SOURCE);
    const std::lock_guard lock(mutex_);
    asked_[static_cast<std::size_t>(status.MPI_SOURCE)] = sequence;
  }
}

void RollCall::answer(int asker) {
  auto message = std::make_shared<Answer>();
  message->enqueued = recorder_->enqueued();
  const std::string position = recorder_->position();
  std::memcpy(message->position, position.data(),
              std::min(position.size(), sizeof(message->position) - 1));
  auto& [request, buffer] = sent_.emplace_back(MPI_REQUEST_NULL, message);
  check_mpi(MPI_Isend(message.get(), sizeof(Answer), MPI_BYTE, asker, kAnswerTag, comm_, &request),
            "MPI_Isend");
}

std::string RollCall::call(const std::string& reason, std::int64_t sequence) noexcept {
  const std::lock_guard lock(call_mutex_);
  try {
    if (!std::exchange(called_, true)) absentees_text_ = ask(reason, sequence);
    return absentees_text_;
  } catch (const std::exception& error) {
    spdlog::error("roll call of {}: {}", recorder_->who(), error.what());
    return "";
  }
}

std::string RollCall::ask(const std::string& reason, std::int64_t sequence) {
  const auto file = write_operations(reason);
  const auto ranks = static_cast<std::size_t>(recorder_->world_size());
  const auto answers = std::make_shared<std::vector<Answer>>(ranks);
  const auto question =
      std::make_shared<std::int64_t>(sequence > 0 ? sequence : recorder_->oldest_open());
  abandon(answers);  // silent ranks leave their requests open
  abandon(question);
  std::vector<MPI_Request> receives(ranks, MPI_REQUEST_NULL);
  std::vector<MPI_Request> sends(ranks, MPI_REQUEST_NULL);
  for (int r = 0; r < recorder_->world_size(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    if (r == recorder_->rank()) continue;
    check_mpi(
        MPI_Irecv(&(*answers)[i], sizeof(Answer), MPI_BYTE, r, kAnswerTag, comm_, &receives[i]),
        "MPI_Irecv");
    check_mpi(MPI_Isend(question.get(), 1, MPI_INT64_T, r, kQuestionTag, comm_, &sends[i]),
              "MPI_Isend");
  }
  Backoff backoff;
  for (std::size_t heard = 0; heard < ranks;) {
    if (has_answered(receives[heard]) || question_of(heard) != kNotAsked) {
      ++heard;
    } else if (backoff.pause() >= kPatience) {
      break;
    }
  }
  const std::string text = absentees(*answers, receives, *question);
  return file.empty() ? text : text + "; the last operations are in " + file.string();
}

bool RollCall::has_answered(MPI_Request& request) {
  int done = 0;
  return MPI_Test(&request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done != 0;
}

std::int64_t RollCall::question_of(std::size_t rank) {
  const std::lock_guard lock(mutex_);
  return asked_[rank];
}

std::string RollCall::absentees(const std::vector<Answer>& answers,
                                std::vector<MPI_Request>& requests, std::int64_t sequence) {
  std::string text;
  for (int r = 0; r < recorder_->world_size(); ++r) {
    const auto i = static_cast<std::size_t>(r);
    if (r == recorder_->rank()) continue;
    const std::int64_t asked = question_of(i);
    const std::string rank = "; rank " + std::to_string(recorder_->world_rank(r));
    if (has_answered(requests[i])) {
      if (answers[i].enqueued < sequence) text += rank + " did not arrive: " + answers[i].position;
    } else if (asked == kNotAsked) {
      text += rank + " did not answer (frozen, terminated or disconnected)";
    } else if (asked < sequence) {
      text +=
          rank + " did not arrive: its own deadline passed in operation #" + std::to_string(asked);
    }
  }
  return text.empty() ? "; all ranks have entered this operation" : text;
}

}  // namespace diffprob::dist

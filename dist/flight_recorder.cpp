#include "dist/flight_recorder.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace diffprob::dist {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<std::weak_ptr<FlightRecorder>> recorders;
};

Registry& registry() {
  static auto* const instance =
      new Registry;  // never destroyed: a deadline may pass while static objects go
  return *instance;
}

std::string location_text(const OperationRecord& record) {
  const std::string step = record.step < 0 ? "no step" : "step " + std::to_string(record.step);
  return "(" + step + ", " + source_text(record.where) + ")";
}

std::string describe_record(const OperationRecord& record) {
  const std::string dtype =
      record.dtype.empty() ? "" : " " + std::string(record.dtype) + " " + shape_text(record);
  return "#" + std::to_string(record.sequence) + dtype + " " + location_text(record);
}

}  // namespace

std::shared_ptr<FlightRecorder> FlightRecorder::make(std::string name, int rank, int world_size) {
  return enter(
      std::shared_ptr<FlightRecorder>(new FlightRecorder(std::move(name), rank, world_size, {})));
}

std::shared_ptr<FlightRecorder> FlightRecorder::make(std::string name,
                                                     const std::vector<int>& ranks, int own) {
  const auto place = std::find(ranks.begin(), ranks.end(), own) - ranks.begin();
  return enter(std::shared_ptr<FlightRecorder>(new FlightRecorder(
      std::move(name), static_cast<int>(place), static_cast<int>(ranks.size()), ranks)));
}

std::shared_ptr<FlightRecorder> FlightRecorder::enter(std::shared_ptr<FlightRecorder> recorder) {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  std::erase_if(all.recorders, [](const auto& known) { return known.expired(); });
  all.recorders.push_back(recorder);
  return recorder;
}

FlightRecorder::FlightRecorder(std::string name, int rank, int world_size, std::vector<int> members)
    : name_(std::move(name)),
      rank_(rank),
      world_size_(world_size),
      members_(std::move(members)),
      ring_(kCapacity) {}

std::string FlightRecorder::who() const {
  const std::string own = "rank " + std::to_string(world_rank(rank_)) + " of ";
  if (members_.empty()) return own + std::to_string(world_size_);
  std::string all = "ranks";
  for (const int member : members_) all += " " + std::to_string(member);
  return own + all;
}

void FlightRecorder::set_phase(Phase phase) noexcept {
  const std::lock_guard lock(mutex_);
  phase_ = phase;
}

void FlightRecorder::set_step(std::int64_t step) noexcept {
  const std::lock_guard lock(mutex_);
  step_ = step;
}

std::int64_t FlightRecorder::enqueue(const OperationInfo& operation) {
  const auto now = std::chrono::system_clock::now();
  const std::lock_guard lock(mutex_);
  enqueued_ += 1;
  auto& record = ring_[static_cast<std::size_t>(enqueued_) % kCapacity];
  record = OperationRecord{};
  record.sequence = enqueued_;
  record.kind = operation.kind;
  record.dtype = operation.dtype;
  for (std::size_t i = 0; i < operation.sizes.size(); ++i) {
    if (i < OperationRecord::kDims) {
      record.sizes[record.dims++] = operation.sizes[i];
    } else {
      record.sizes.back() *= operation.sizes[i];
    }
  }
  record.phase = phase_;
  record.step = step_;
  record.where = operation.where;
  record.enqueued = now;
  return enqueued_;
}

void FlightRecorder::start(std::int64_t sequence) noexcept {
  const auto now = std::chrono::system_clock::now();
  const std::lock_guard lock(mutex_);
  if (auto* record = find(sequence)) {
    record->state = OperationState::kStarted;
    record->started = now;
  }
}

void FlightRecorder::finish(std::int64_t sequence) noexcept {
  close(sequence, OperationState::kFinished);
}

void FlightRecorder::fail(std::int64_t sequence) noexcept {
  close(sequence, OperationState::kFailed);
}

void FlightRecorder::close(std::int64_t sequence, OperationState state) noexcept {
  const auto now = std::chrono::system_clock::now();
  const std::lock_guard lock(mutex_);
  if (state == OperationState::kFinished) closed_ = std::max(closed_, sequence);
  if (auto* record = find(sequence)) {
    record->state = state;
    record->finished = now;
  }
}

std::int64_t FlightRecorder::enqueued() const {
  const std::lock_guard lock(mutex_);
  return enqueued_;
}

std::int64_t FlightRecorder::oldest_open() const {
  const std::lock_guard lock(mutex_);
  return closed_ < enqueued_ ? closed_ + 1 : 0;
}

std::string FlightRecorder::describe(std::int64_t sequence) const {
  const std::lock_guard lock(mutex_);
  const auto* record = find(sequence);
  return record == nullptr ? "" : describe_record(*record);
}

std::string FlightRecorder::position() const {
  const std::lock_guard lock(mutex_);
  if (enqueued_ == 0) return "before its first collective";
  const bool open = closed_ < enqueued_;
  const auto* record = find(open ? closed_ + 1 : enqueued_);
  if (record == nullptr) return "in #" + std::to_string(closed_ + 1);
  return (open ? "in " : "done with ") + std::string(record->kind) + " " + describe_record(*record);
}

std::vector<OperationRecord> FlightRecorder::records() const {
  const std::lock_guard lock(mutex_);
  std::vector<OperationRecord> result;
  for (std::int64_t n =
           std::max<std::int64_t>(1, enqueued_ - static_cast<std::int64_t>(kCapacity) + 1);
       n <= enqueued_; ++n) {
    result.push_back(ring_[static_cast<std::size_t>(n) % kCapacity]);
  }
  return result;
}

const OperationRecord* FlightRecorder::find(std::int64_t sequence) const noexcept {
  const auto& record = ring_[static_cast<std::size_t>(sequence) % kCapacity];
  return sequence > 0 && record.sequence == sequence ? &record : nullptr;
}

OperationRecord* FlightRecorder::find(std::int64_t sequence) noexcept {
  return const_cast<OperationRecord*>(std::as_const(*this).find(sequence));
}

std::vector<std::shared_ptr<const FlightRecorder>> live_recorders() {
  auto& all = registry();
  const std::lock_guard lock(all.mutex);
  std::vector<std::shared_ptr<const FlightRecorder>> result;
  for (const auto& known : all.recorders) {
    if (auto recorder = known.lock()) result.push_back(std::move(recorder));
  }
  return result;
}

std::string_view to_string(OperationState state) {
  switch (state) {
    case OperationState::kEnqueued:
      return "enqueued";
    case OperationState::kStarted:
      return "started";
    case OperationState::kFinished:
      return "finished";
    case OperationState::kFailed:
      break;
  }
  return "failed";
}

std::string_view to_string(Phase phase) {
  return phase == Phase::kStartup ? "startup" : "step";
}

std::string shape_text(const OperationRecord& record) {
  std::string text = "[";
  for (std::size_t i = 0; i < record.dims; ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(record.sizes[i]);
  return text + "]";
}

std::string source_text(const std::source_location& where) {
  std::string_view path = where.file_name();
  const auto last = path.rfind('/');
  if (last != std::string_view::npos && last > 0) {
    const auto second = path.rfind('/', last - 1);
    if (second != std::string_view::npos) path.remove_prefix(second + 1);
  }
  return std::string(path) + ":" + std::to_string(where.line());
}

RecordedOperation::RecordedOperation(FlightRecorder& recorder, const OperationInfo& operation)
    : recorder_(recorder),
      sequence_(recorder.enqueue(operation)),
      exceptions_(std::uncaught_exceptions()) {
  recorder_.start(sequence_);
}

RecordedOperation::~RecordedOperation() {
  std::uncaught_exceptions() > exceptions_ ? recorder_.fail(sequence_)
                                           : recorder_.finish(sequence_);
}

}  // namespace diffprob::dist

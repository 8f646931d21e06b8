#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include "launch/observe/progress.h"

namespace diffprob::launch {

/// What a training step spends its time on.
enum class StepPhase { kDataWait, kForward, kHead, kBackward, kCommunication, kOptimizer, kReplay };
inline constexpr std::size_t kPhases = 7;
/// "data_wait", "forward" ...: keys of metrics.jsonl.
[[nodiscard]] const char* phase_name(StepPhase phase);

/// Mean milliseconds a step since the last time they were taken.
struct StepTimes {
  std::int64_t steps = 0;
  std::array<double, kPhases> phase{};  ///< of each StepPhase; kCommunication: what backward did
                                        ///< not hide; kReplay: a captured step, which has no other
  double step = 0;                      ///< all phases
};

/// Splits the time of steps into phases that follow each other. On a CPU by the clock; on CUDA by
/// events on the current stream, read when the device has passed them, so that no step waits: a
/// phase is then the time the device spent between its marks, its waits for the host and for other
/// ranks included. A mark costs well under 10 us.
class StepTimer {
 public:
  /// seconds: the clock of CPU phases.
  explicit StepTimer(c10::Device device, std::function<double()> seconds = steady_seconds);
  ~StepTimer();
  StepTimer(const StepTimer&) = delete;
  StepTimer& operator=(const StepTimer&) = delete;

  /// Ends the phase that runs, if any, and begins this one; a phase may come several times a step.
  void enter(StepPhase phase);
  /// While on, enter() does nothing: the step is being recorded into a graph, not run.
  void set_recording(bool on) noexcept { recording_ = on; }
  void end_step();
  /// Ends the phase that runs without counting its time: before a pause (checkpoint, evaluation)
  /// inside a step.
  void drop();
  /// Means of the whole steps since the last call. On CUDA it waits for the last of them.
  [[nodiscard]] StepTimes take();

 private:
  struct Mark {
    int phase;  ///< that begins here; -1: a step ends
    double seconds;
    std::optional<c10::Event> event;
  };
  using Step = std::vector<Mark>;

  [[nodiscard]] Mark mark(int phase);
  void add(Step& step);
  void collect_passed();

  c10::Device device_;
  std::function<double()> seconds_;
  bool recording_ = false;
  Step current_;
  std::deque<Step> pending_;  ///< whole steps that the device may not have passed yet
  std::vector<c10::Event> spare_;
  std::int64_t steps_ = 0;
  std::array<double, kPhases> sums_{};  ///< milliseconds
};

}  // namespace diffprob::launch

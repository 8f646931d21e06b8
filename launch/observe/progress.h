#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

namespace diffprob::launch {

/// "12.3s", "3m20s", "1h02m"; "?" for a negative or non-finite number of seconds.
[[nodiscard]] std::string format_duration(double seconds);

/// Seconds of a steady clock since some fixed moment.
[[nodiscard]] double steady_seconds();

/// Units a second, where the last 15 s or so count most: follows a change of pace without jumping
/// from batch to batch.
class MovingRate {
 public:
  /// `units` more, in `seconds` of time.
  void add(double units, double seconds);
  /// 0 before any time has passed.
  [[nodiscard]] double per_second() const;

 private:
  double units_ = 0;
  double seconds_ = 0;
};

/// Where progress goes and what time it is.
struct ProgressOutput {
  std::FILE* stream = stderr;
  std::function<double()> seconds = steady_seconds;
};

/// Says how far a long task is: percentage, rate, time left. On a terminal one line with a bar that
/// is rewritten at most every 0.5 s, elsewhere (a log file) a line at most every 10 s. One thread;
/// use it on one rank.
class Progress {
 public:
  /// total: units in the whole task; unit: "images".
  Progress(std::string what, std::int64_t total, std::string unit, bool terminal,
           ProgressOutput output = {});
  /// Ends a line that finish() has not ended (the task failed), so that the next message starts on
  /// its own line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Units that an earlier run has done: they count as done, but not for rate and time left. Before
  /// the first advance().
  void resume_at(std::int64_t done);
  /// done: units done so far, in all. note: appended to the line.
  void advance(std::int64_t done, const std::string& note = "");
  /// Takes the line off the terminal, so that another message can be printed in its place; the next
  /// advance() puts it back.
  void step_aside();
  /// Says what was done, in which time. Further calls do nothing.
  void finish();

 private:
  [[nodiscard]] std::string describe(const std::string& note) const;
  void print(const std::string& line);

  std::string what_;
  std::int64_t total_;
  std::string unit_;
  bool terminal_;
  ProgressOutput output_;
  MovingRate rate_;
  double start_;
  double last_advance_;
  double last_print_;
  std::int64_t done_ = 0;
  std::int64_t done_before_ = 0;  ///< by an earlier run
  bool line_open_ = false;
  bool finished_ = false;
};

}  // namespace diffprob::launch

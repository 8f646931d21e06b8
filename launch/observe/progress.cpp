#include "launch/observe/progress.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace diffprob::launch {
namespace {

constexpr double kTerminalInterval = 0.5;  // seconds
constexpr double kPlainInterval = 10;      // seconds
constexpr double kRateMemory = 15;         // seconds
constexpr int kBarWidth = 24;              // columns

template <class... Args>
std::string print_text(const char* format, Args... args) {
  char text[64];
  std::snprintf(text, sizeof(text), format, args...);
  return text;
}

std::string format_rate(double rate) {
  return print_text(rate < 100 ? "%.1f" : "%.0f", rate);
}

std::string format_bar(double share) {
  const auto full = static_cast<std::size_t>(share * kBarWidth);
  return "[" + std::string(full, '#') + std::string(kBarWidth - full, '.') + "] ";
}

}  // namespace

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  // Each step is chosen by the rounded value: never "60.0s" or "60m00s".
  if (seconds < 59.95) return print_text("%.1fs", seconds);
  const long long whole = std::llround(seconds);
  if (whole < 3600) return print_text("%lldm%02llds", whole / 60, whole % 60);
  const long long minutes = std::llround(seconds / 60);
  return print_text("%lldh%02lldm", minutes / 60, minutes % 60);
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void MovingRate::add(double units, double seconds) {
  // Both sums fade alike, so the quotient is right from the first call on.
  const double kept = std::exp(-seconds / kRateMemory);
  units_ = units_ * kept + units;
  seconds_ = seconds_ * kept + seconds;
}

double MovingRate::per_second() const {
  return seconds_ > 0 ? units_ / seconds_ : 0;
}

Progress::Progress(std::string what, std::int64_t total, std::string unit, bool terminal,
                   ProgressOutput output)
    : what_(std::move(what)),
      total_(total),
      unit_(std::move(unit)),
      terminal_(terminal),
      output_(std::move(output)) {
  start_ = last_advance_ = last_print_ = output_.seconds();
}

Progress::~Progress() {
  if (!line_open_) return;
  std::fputc('\n', output_.stream);
  std::fflush(output_.stream);
}

void Progress::resume_at(std::int64_t done) {
  done_ = done_before_ = done;
  start_ = last_advance_ = output_.seconds();
}

void Progress::step_aside() {
  if (!line_open_) return;
  std::fputs("\r\033[K", output_.stream);
  std::fflush(output_.stream);
  line_open_ = false;
  last_print_ = output_.seconds() - kTerminalInterval;
}

void Progress::advance(std::int64_t done, const std::string& note) {
  if (finished_) return;
  const double now = output_.seconds();
  rate_.add(static_cast<double>(std::max<std::int64_t>(done - done_, 0)), now - last_advance_);
  last_advance_ = now;
  done_ = done;
  if (now - last_print_ < (terminal_ ? kTerminalInterval : kPlainInterval)) return;
  last_print_ = now;
  print(describe(note));
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  const double seconds = output_.seconds() - start_;
  const std::int64_t done = done_ - done_before_;
  std::string line =
      what_ + ": " + std::to_string(done) + " " + unit_ + " in " + format_duration(seconds);
  if (seconds > 0)
    line += ", " + format_rate(static_cast<double>(done) / seconds) + " " + unit_ + "/s";
  print(line);
  if (line_open_) std::fputc('\n', output_.stream);
  std::fflush(output_.stream);
  line_open_ = false;
}

std::string Progress::describe(const std::string& note) const {
  const double share =
      total_ > 0 ? std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0)
                 : 1.0;
  const double rate = rate_.per_second();
  std::string line = (terminal_ ? format_bar(share) : "") + what_ + ": " +
                     print_text("%.1f%%", 100 * share) + " (" + std::to_string(done_) + "/" +
                     std::to_string(total_) + " " + unit_ + "), " + format_rate(rate) + " " +
                     unit_ + "/s";
  if (rate > 0)
    line += ", ETA " +
            format_duration(static_cast<double>(std::max<std::int64_t>(total_ - done_, 0)) / rate);
  return note.empty() ? line : line + ", " + note;
}

void Progress::print(const std::string& line) {
  // Back to the first column, and no wrapping: a line wider than the terminal is cut, or the next
  // one could not overwrite it.
  const std::string text = terminal_ ? "\r\033[?7l" + line + "\033[K\033[?7h" : line + "\n";
  std::fputs(text.c_str(), output_.stream);
  std::fflush(output_.stream);
  line_open_ = terminal_;
}

}  // namespace diffprob::launch

#include "dist/mpi/operations_file.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <string>

#include "data/files/atomic_file.h"
#include "dist/flight_recorder.h"

namespace diffprob::dist {
namespace {

using Time = std::chrono::system_clock::time_point;

constexpr std::size_t kLogged = 8;  // operations a communicator, when there is no folder

struct Target {
  std::mutex mutex;
  std::filesystem::path folder;
  std::filesystem::path written;
  std::chrono::steady_clock::time_point written_at;
};

Target& target() {
  static auto* const instance = new Target;
  return *instance;
}

/// "02:15:03.123456" UTC, "-" for the epoch.
std::string time_text(Time time) {
  if (time == Time{}) return "-";
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = micros / 1'000'000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  std::snprintf(text, sizeof(text), "%02d:%02d:%02d.%06lld", utc.tm_hour, utc.tm_min, utc.tm_sec,
                static_cast<long long>(micros % 1'000'000));
  return text;
}

std::string line_of(const OperationRecord& record) {
  std::string line = std::to_string(record.sequence);
  const auto add = [&line](const std::string& text) { line += "\t" + text; };
  add(std::string(to_string(record.state)));
  add(std::string(record.kind));
  add(record.dtype.empty() ? "-" : std::string(record.dtype));
  add(shape_text(record));
  add(std::string(to_string(record.phase)));
  add(record.step < 0 ? "-" : std::to_string(record.step));
  add(time_text(record.enqueued));
  add(time_text(record.started));
  add(time_text(record.finished));
  add(source_text(record.where));
  return line + "\n";
}

std::string header_of(const FlightRecorder& recorder) {
  return "# communicator " + recorder.name() + ": " + std::to_string(recorder.enqueued()) +
         " operations called, " + recorder.position() + "\n";
}

std::string text_of(std::string_view reason) {
  std::string text = "# diffprob operations 1; times are UTC\n# " + std::string(reason) + "\n";
  for (const auto& recorder : live_recorders()) {
    text += header_of(*recorder);
    text +=
        "sequence\tstate\tkind\tdtype\tshape\tphase\tstep\tenqueued\tstarted\tfinished\tsource\n";
    for (const auto& record : recorder->records()) text += line_of(record);
  }
  return text;
}

void log_newest(std::string_view reason) {
  for (const auto& recorder : live_recorders()) {
    const auto records = recorder->records();
    std::string text = std::string(reason) + "\n" + header_of(*recorder);
    for (std::size_t i = records.size() - std::min(records.size(), kLogged); i < records.size();
         ++i)
      text += line_of(records[i]);
    spdlog::warn("{}", text);
  }
}

}  // namespace

void set_dump_folder(std::filesystem::path folder) {
  auto& to = target();
  const std::lock_guard lock(to.mutex);
  to.folder = std::move(folder);
  to.written.clear();
}

std::filesystem::path write_operations(std::string_view reason) noexcept {
  try {
    auto& to = target();
    const std::lock_guard lock(to.mutex);
    const auto recorders = live_recorders();
    if (recorders.empty()) return {};
    const auto now = std::chrono::steady_clock::now();
    if (to.written_at != std::chrono::steady_clock::time_point{} &&
        now - to.written_at < std::chrono::seconds(1))
      return to.written;
    to.written_at = now;
    if (to.folder.empty()) {
      log_newest(reason);
      return {};
    }
    char name[48];
    std::snprintf(name, sizeof(name), "operations.rank%05d.txt",
                  recorders.front()->world_rank(recorders.front()->rank()));
    data::write_file_atomically(to.folder / name, text_of(reason));
    return to.written = to.folder / name;
  } catch (const std::exception& error) {
    spdlog::error("the last operations could not be written: {}", error.what());
    return {};
  }
}

}  // namespace diffprob::dist

#pragma once

#include <spdlog/sinks/base_sink.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace diffprob::launch {

/// A copy of the log in a file, which earlier starts of the same job have written to. Lines that
/// come before open() wait in memory. A file that cannot be written (a full disk) is one warning
/// on the console and never an error: lines that do not fit are lost, later ones are tried.
class LogFile final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  static constexpr std::int64_t kMostBytes = 32 << 20;  ///< of a file; there are two
  static constexpr std::size_t kMostWaiting = 1000;     ///< lines before open(); the first are kept

  /// `start`: a line about this start of the program.
  LogFile(spdlog::sink_ptr console, std::string start, std::int64_t most_bytes = kMostBytes);
  ~LogFile() override;
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  /// Appends to this file from now on, beginning with the line about this start and those that
  /// waited. A file that would grow beyond the limit becomes PATH.1, in place of an older one.
  void open(const std::string& path);

 private:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}
  [[nodiscard]] std::string formatted(const spdlog::details::log_msg& message);
  void open_file();
  void close_file();
  void rotate();
  void write(const std::string& line);
  void complain(const std::string& what);

  spdlog::sink_ptr console_;
  std::string start_;
  spdlog::log_clock::time_point started_ = spdlog::log_clock::now();
  std::int64_t most_bytes_;
  std::vector<std::string> waiting_;
  std::string path_;
  int file_ = -1;
  std::int64_t size_ = 0;
  bool torn_ = false;  ///< the file ends amid a line
  bool complained_ = false;
};

}  // namespace diffprob::launch

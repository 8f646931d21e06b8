#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace diffprob::launch {

/// Numbers for plots and tables: a file of one JSON object a line, only ever appended to, so that a
/// resumed run goes on in the same file. Each line reaches the file in one piece before write()
/// returns; a last line that a kill has torn is cut off on opening. One writer a file. A number
/// that is not finite becomes null.
class Metrics {
 public:
  /// Writes nothing: for the ranks that keep no file.
  Metrics() = default;
  /// Opens or makes the file; its folder must exist. Throws std::runtime_error that names it.
  explicit Metrics(std::string path);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// One line. Keys stay in the order given. Throws std::runtime_error (not an object; disk full
  /// ...).
  void write(const nlohmann::ordered_json& values);

 private:
  void cut_torn_line();
  [[noreturn]] void fail(const char* what) const;

  std::string path_;
  int file_ = -1;
};

}  // namespace diffprob::launch

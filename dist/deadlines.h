#pragma once

#include <chrono>

namespace diffprob::dist {

/// How long a collective may wait for its peers before the run is ended. Start-up covers the first
/// collective of a communicator (ranks load libraries and open files at different speeds), step
/// every later one.
struct Deadlines {
  std::chrono::milliseconds startup{std::chrono::seconds(300)};
  std::chrono::milliseconds step{std::chrono::seconds(100)};
};

enum class Phase { kStartup, kStep };

}  // namespace diffprob::dist

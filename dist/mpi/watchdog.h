#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace diffprob::dist {

/// Ends the process, with exit code 1, when it is not gone in time: for waits inside MPI itself
/// (MPI_Init, MPI_Finalize), which have no deadline of their own. The launcher then ends the other
/// ranks.
class Watchdog {
 public:
  /// `what`: "MPI_Init of process 4711 on node3", for the message.
  Watchdog(std::string what, std::chrono::milliseconds patience);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void watch();

  std::string what_;
  std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace diffprob::dist

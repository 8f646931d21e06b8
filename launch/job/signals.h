#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "dist/mpi/host_collectives.h"

namespace diffprob::launch {

/// While one lives, the first SIGTERM, SIGUSR1, SIGINT or SIGHUP only sets a flag, and a second one
/// ends the process at once with 128 + its number, unless it is SIGHUP. SIGPIPE is ignored, and so
/// is SIGHUP where nohup has asked for that. One per process, made before other threads.
class SignalGuard {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

  /// The first signal that came, 0 when none has.
  [[nodiscard]] static int received() noexcept;
};

/// A job was asked to stop (signal, train.max_time) and what it has done is on disk. Thrown on all
/// ranks at the same step.
class Stopped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A job has done what it could and left something out, which it has named. Thrown on all ranks at
/// the end; the exit code is 1.
class Incomplete : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Whether training or scoring is to stop: a signal on any rank, or the time is over. One number a
/// step goes over MPI, on the host, while the step runs: the ranks act on it a step later.
class StopAgreement {
 public:
  /// max_seconds: since rank 0's process began; 0: no limit.
  StopAgreement(double max_seconds, dist::HostCollectives& control);

  /// Once a step, by all ranks: whether a rank wished to stop when it made the call before. The
  /// same answer on all. Collective.
  [[nodiscard]] bool agreed();
  /// After agreed() said so: "SIGUSR1", "train.max_time".
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

 private:
  [[nodiscard]] std::int32_t wish() const;

  dist::HostCollectives& control_;
  double max_seconds_;
  std::string reason_;
};

}  // namespace diffprob::launch

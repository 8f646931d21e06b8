#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include "dist/mpi/environment.h"
#include "dist/mpi/host_collectives.h"
#include "launch/config/command_line.h"
#include "launch/config/config.h"

namespace diffprob::launch {

/// Names what differs, and on which ranks and hosts.
class RanksDiffer : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Reads the configuration of a command on every rank and compares the ranks before anything else
/// is done: program, LibTorch, command and configuration must be the same everywhere; clocks that
/// differ are a warning of rank 0. Collective; every wait is bounded by dist.startup_timeout.
/// Throws on all ranks: ConfigError when they all cannot read it for the same reason, else
/// RanksDiffer.
[[nodiscard]] Config agreed_config(const CommandLine& line, const dist::MpiEnvironment& mpi);

/// What one rank brings to the comparison.
struct RankFacts {
  std::string host;
  std::string program;   ///< version and digest of the executable, size of LibTorch
  std::string problem;   ///< why the configuration cannot be used here, or ""
  std::string settings;  ///< a line "key=value" each; "" with a problem
};
/// Collective. Throws RanksDiffer on all ranks when their programs, problems or settings differ.
void check_agreement(const RankFacts& own, dist::HostCollectives& control);

/// Clocks further apart than this are worth a warning: seconds.
inline constexpr double kClockTolerance = 5;
/// Collective. The ranks whose clock is further than kClockTolerance from the middle one, as a
/// warning, or "". `now`: this rank's clock in seconds since 1970. The clocks are read right behind
/// a barrier, again when they differ: waiting for a late rank does not count.
[[nodiscard]] std::string clock_problem(const std::string& host, const std::function<double()>& now,
                                        dist::HostCollectives& control);

}  // namespace diffprob::launch

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>

#include "dist/mpi/watchdog.h"
#include "launch/cli/commands.h"
#include "launch/job/host_allocator.h"
#include "launch/job/rank_agreement.h"
#include "launch/job/read_config.h"
#include "launch/job/sanitized.h"
#include "launch/job/signals.h"
#include "launch/observe/log.h"
#include "launch/train/train.h"

namespace {

using namespace diffprob;

constexpr int kError = 1;
constexpr int kBadUsage = 2;
constexpr int kRequeue = 75;  // EX_TEMPFAIL: schedulers start the job again

/// The message of an exception without LibTorch's C++ backtrace.
std::string first_lines(const std::string& message) {
  const auto backtrace = message.find("\nException raised from ");
  return message.substr(0, backtrace);
}

/// Reports and ends all ranks. When all ranks fail alike, rank 0 speaks for them: the others wait a
/// moment first.
[[noreturn]] void fail(dist::MpiEnvironment& mpi, const std::string& message) {
  if (mpi.rank() != 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(300 + 20 * std::min(mpi.rank(), 50)));
  spdlog::error("rank {} of {} on {}: {}", mpi.rank(), mpi.world_size(), mpi.host_name(),
                first_lines(message));
  spdlog::error(
      "all ranks exit. Fix the cause and run the same command again: it resumes from the finished "
      "stages and checkpoints.");
  mpi.abort(kError);
}

/// How long MPI itself may wait for all ranks. A configuration that cannot be read is reported
/// later, once.
std::chrono::milliseconds patience_of(const launch::CommandLine& line) {
  try {
    return std::chrono::milliseconds(
        static_cast<std::int64_t>(1000 * launch::read_config(line).dist.startup_timeout));
  } catch (const launch::ConfigError&) {
    return dist::Deadlines().startup;
  }
}

std::string process_name() {
  std::array<char, 256> host{};
  (void)::gethostname(host.data(), host.size() - 1);
  return fmt::format("process {} on {}", ::getpid(), host.data());
}

int run_command(const launch::CommandLine& line, dist::MpiEnvironment& mpi) {
  launch::set_up_log(mpi.rank(), mpi.world_size(), line.command);
  try {
    const launch::Config config = launch::agreed_config(line, mpi);
    for (const auto& note : mpi.rank() == 0 ? config.notes : std::vector<std::string>())
      spdlog::warn("{}", note);
    run_distributed_command(line, config, mpi);
    return 0;
  } catch (const launch::ConfigError& error) {  // the same on every rank
    if (mpi.rank() == 0) std::fprintf(stderr, "%s\n", error.what());
    return kBadUsage;
  } catch (const launch::RanksDiffer& error) {  // all ranks know
    if (mpi.rank() == 0) spdlog::error("{}", error.what());
    return kBadUsage;
  } catch (const launch::Stopped& stopped) {  // all ranks agreed
    spdlog::warn("{}. Run the same command again to resume.", stopped.what());
    return kRequeue;
  } catch (const launch::Incomplete& incomplete) {  // all ranks know
    if (mpi.rank() == 0) spdlog::error("{}", incomplete.what());
    return kError;
  } catch (const std::exception& error) {
    fail(mpi, error.what());
  }
}

int run_with_ranks(const launch::CommandLine& line, int argc, char** argv) {
  const launch::SignalGuard signals;  // before the threads of MPI
  const std::chrono::milliseconds patience = patience_of(line);
  std::optional<dist::Watchdog> end;  // outlives mpi, which waits for all ranks once more
  std::optional<dist::Watchdog> start(std::in_place, "MPI_Init of " + process_name(), patience);
  dist::MpiEnvironment mpi(&argc, &argv);
  start.reset();
  const int code = run_command(line, mpi);
  end.emplace(fmt::format("MPI_Finalize of rank {} on {}", mpi.rank(), mpi.host_name()), patience);
  return code;
}

/// Returns false, after a message, when what was printed did not arrive (a full disk).
bool printed_everything() {
  const bool wrote = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!wrote)
    std::fprintf(stderr,
                 "error: standard output could not be written in full, so the printed result is "
                 "incomplete. Free space where it goes, then run the command again\n");
  return wrote;
}

int run(int argc, char** argv) {
  try {
    const launch::CommandLine line = launch::parse_command_line(argc, argv);
    const int local = launch::run_local_command(line);
    const int code = local >= 0 ? local : run_with_ranks(line, argc, argv);
    return printed_everything() ? code : std::max(code, kError);
  } catch (const launch::ConfigError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return kBadUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", first_lines(error.what()).c_str());
    return kError;
  }
}

}  // namespace

int main(int argc, char** argv) {
  launch::install_host_allocator();
  const int code = run(argc, argv);
  spdlog::shutdown();
  std::fflush(nullptr);
  // Everything is written. LibTorch would only take its tables of operators apart, a third of the
  // time of a short command.
  if constexpr (!launch::kSanitized) std::_Exit(code);
  return code;
}

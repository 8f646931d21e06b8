#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <source_location>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"

namespace diffprob::dist {

/// Keeps the first exception of work that runs between collectives until all ranks can throw it
/// together, so that no rank waits for one that gave up.
///
/// Every rank throws the same message, that of the lowest failing rank, as the type that the caller
/// names. The original exception is not rethrown: one type on all ranks means that whoever catches
/// it acts alike everywhere. The type is constructed from a std::string.
class FirstProblem {
 public:
  /// Runs work(), which must not be collective. Does nothing once there is a problem.
  template <class Work>
  void run(const Work& work) {
    if (problem_) return;
    try {
      work();
    } catch (const std::exception& error) {
      problem_ = error.what();
    } catch (...) {
      problem_ = "unknown exception";
    }
  }

  /// Throws Error on all ranks if any of them has a problem. Collective.
  template <class Error>
  void throw_together(HostCollectives& control,
                      std::source_location where = std::source_location::current()) const {
    if (const auto message = agreed_message(control, where)) throw Error(*message);
  }

 private:
  /// Returns the message of the lowest failing rank, prefixed with that rank unless all failed.
  [[nodiscard]] std::optional<std::string> agreed_message(HostCollectives& control,
                                                          const std::source_location& where) const;

  std::optional<std::string> problem_;
};

/// Runs work() on every rank. If it throws on any of them, all ranks throw Error with the message
/// of the lowest failing rank (see FirstProblem). Collective; work() must not be.
template <class Error, class Work>
void together(HostCollectives& control, const Work& work,
              std::source_location where = std::source_location::current()) {
  FirstProblem problem;
  problem.run(work);
  problem.throw_together<Error>(control, where);
}

/// Runs work() on this rank, for as long as it takes: the ranks meet every second until all have
/// done theirs, so that none waits beyond its deadline for one that reads a large file. What work()
/// throws is thrown after that, on this rank alone. Collective; work(), which runs on a thread of
/// its own, must not be.
void in_rounds(HostCollectives& control, const std::function<void()>& work,
               std::source_location where = std::source_location::current());

/// Gathers one text per rank; every rank gets all of them in rank order. Collective.
[[nodiscard]] std::vector<std::string> gather_texts(
    HostCollectives& control, const std::string& text,
    std::source_location where = std::source_location::current());

}  // namespace diffprob::dist

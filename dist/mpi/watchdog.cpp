#include "dist/mpi/watchdog.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace diffprob::dist {

Watchdog::Watchdog(std::string what, std::chrono::milliseconds patience)
    : what_(std::move(what)), patience_(patience), thread_([this] { watch(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Watchdog::watch() {
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, patience_, [this] { return over_; })) return;
  std::fprintf(stderr,
               "error: %s has waited %.0f s for the other ranks: one is frozen, has exited or was "
               "never started\n",
               what_.c_str(), std::chrono::duration<double>(patience_).count());
  std::_Exit(1);
}

}  // namespace diffprob::dist

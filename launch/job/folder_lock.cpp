#include "launch/job/folder_lock.h"

#include <spdlog/fmt/chrono.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace diffprob::launch {
namespace {

constexpr std::chrono::milliseconds kPoll{100};

/// "process 4711 on node3, since 2026-01-05 10:02:11 UTC"
std::string own_description() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host = {"?"};
  return fmt::format("process {} on {}, since {:%Y-%m-%d %H:%M:%S} UTC", ::getpid(), host.data(),
                     fmt::gmtime(std::time(nullptr)));
}

/// What the holder has written.
std::string description_in(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) && !line.empty() ? line : "which has not identified itself";
}

void describe_in(int file, const std::string& path) {
  const std::string line = own_description() + "\n";
  const bool good = ::ftruncate(file, 0) == 0 && ::pwrite(file, line.data(), line.size(), 0) ==
                                                     static_cast<ssize_t>(line.size());
  if (!good) throw std::runtime_error(path + ": cannot be written: " + std::strerror(errno));
}

}  // namespace

FolderLock::FolderLock(const std::string& folder, Mode mode, std::chrono::milliseconds patience) {
  const std::string path = folder + "/job.lock";
  const auto give_up = std::chrono::steady_clock::now() + patience;
  bool waited = false;
  try {
    while (!(lock_ = FileLock::try_lock(path, mode))) {
      if (std::chrono::steady_clock::now() >= give_up) {
        throw std::runtime_error(folder + " is in use by another job, " + description_in(path) +
                                 ". Wait for it, stop it, or use another --output. If its node is "
                                 "permanently lost, delete " +
                                 path);
      }
      if (!std::exchange(waited, true))
        spdlog::info("{} is in use by another job, {}; waiting for it to end", folder,
                     description_in(path));
      std::this_thread::sleep_for(kPoll);
    }
    describe_in(lock_->descriptor(), path);
  } catch (const NoLocks& error) {
    spdlog::warn(
        "{}: this file system does not support locks; make sure that no other job writes there",
        error.what());
  }
}

}  // namespace diffprob::launch

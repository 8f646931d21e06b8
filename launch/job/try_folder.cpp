#include "launch/job/try_folder.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>

#include <spdlog/fmt/fmt.h>

namespace diffprob::launch {
namespace {
namespace fs = std::filesystem;

constexpr auto kFileSystemPatience = std::chrono::seconds(5);  // for a network file system
constexpr auto kPause = std::chrono::milliseconds(50);

/// Folders of a path that are not there yet, innermost first. A folder that may not be searched
/// counts as missing: making it then tells why it cannot be used.
std::vector<fs::path> missing_folders(const fs::path& folder) {
  std::vector<fs::path> missing;
  std::error_code error;
  fs::path at = fs::absolute(folder, error).lexically_normal();
  if (!at.has_filename()) at = at.parent_path();
  for (; at.has_relative_path() && !fs::exists(at, error); at = at.parent_path())
    missing.push_back(at);
  return missing;
}

/// Removes folders that are still empty; what another job has written meanwhile stays.
void remove_empty(const std::vector<fs::path>& folders) {
  std::error_code error;
  for (const fs::path& folder : folders) {
    if (!fs::remove(folder, error)) return;
  }
}

std::string make_folder(const std::string& folder) {
  std::error_code error;
  if (fs::exists(folder, error) && !fs::is_directory(folder, error))
    return folder + " is a file, expected a folder";
  fs::create_directories(folder, error);
  return error ? folder + " cannot be made: " + error.message() : "";
}

std::string write_file(const std::string& path) {
  const auto problem = [&](const std::string& reason) {
    return "no file can be written to " + fs::path(path).parent_path().string() + ": " + reason;
  };
  errno = 0;
  std::ofstream file(path + ".tmp", std::ios::trunc);
  file << "diffprob tries whether it can write here\n" << std::flush;
  if (!file) return problem(std::generic_category().message(errno));
  std::error_code error;
  fs::rename(path + ".tmp", path, error);
  return error ? problem(error.message()) : "";
}

bool appears(const std::string& path) {
  const auto end = std::chrono::steady_clock::now() + kFileSystemPatience;
  while (!std::ifstream(path)) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

}  // namespace

std::vector<std::string> try_folder(const std::string& key, const std::string& folder,
                                    bool leave_nothing, Runtime& runtime) {
  auto& control = runtime.control();
  std::string problem;
  std::vector<fs::path> made;
  if (runtime.is_root()) {
    made = missing_folders(folder);
    problem = make_folder(folder);
  }
  const auto usable = control.all_gather(problem.empty() ? 1 : 0);
  if (usable[0] == 0)
    return problem.empty() ? std::vector<std::string>() : std::vector{key + ": " + problem};
  const auto token = control.all_gather(static_cast<std::int64_t>(::getpid()))[0];
  const auto file = [&](int rank) { return fmt::format("{}/.try.{}.{}", folder, token, rank); };
  problem = write_file(file(runtime.rank()));
  const auto wrote = control.all_gather(problem.empty() ? 1 : 0);
  for (int rank = 0; problem.empty() && rank < (runtime.is_root() ? runtime.world_size() : 1);
       ++rank) {
    if (wrote[static_cast<std::size_t>(rank)] == 0 || appears(file(rank))) continue;
    problem = fmt::format(
        "{}: what rank {} writes there is not seen by rank {} on {}; give a folder that all nodes "
        "share",
        folder, rank, runtime.rank(), runtime.mpi().host_name());
  }
  control.barrier("trial of a folder");
  std::error_code ignored;
  fs::remove(file(runtime.rank()), ignored);
  fs::remove(file(runtime.rank()) + ".tmp", ignored);
  control.barrier("end of the trial of a folder");
  if (runtime.is_root() && leave_nothing) remove_empty(made);
  return problem.empty() ? std::vector<std::string>() : std::vector{key + ": " + problem};
}

std::vector<std::string> try_node_folder(const std::string& key, const std::string& folder) {
  std::error_code error;
  fs::path at = fs::absolute(folder).lexically_normal();
  while (!fs::exists(at, error) && at.has_relative_path()) at = at.parent_path();
  if (!fs::is_directory(at, error))
    return {key + ": " + at.string() + " is a file, expected a folder"};
  if (::access(at.c_str(), W_OK | X_OK) != 0)
    return {key + ": no file can be written to " + at.string()};
  return {};
}

}  // namespace diffprob::launch

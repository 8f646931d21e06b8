#include "launch/checkpoint/list.h"

#include <algorithm>
#include <filesystem>

#include "launch/checkpoint/manifest.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

/// Why a checkpoint cannot be used, or "".
std::string problem_of(const std::string& checkpoint) {
  try {
    for (const FileRecord& file : read_manifest(checkpoint).files) {
      const std::string path = checkpoint + "/" + file.name;
      std::error_code failed;
      const auto bytes = fs::file_size(path, failed);
      if (failed) return path + ": " + failed.message();
      if (static_cast<std::int64_t>(bytes) != file.bytes)
        return path + " has " + std::to_string(bytes) + " bytes, expected " +
               std::to_string(file.bytes);
    }
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

}  // namespace

bool holds_checkpoints(const std::string& path) {
  std::error_code none;
  return fs::is_directory(path, none) && !fs::exists(path + "/" + kManifestFile, none) &&
         !steps_in(path).empty();
}

std::vector<std::string> list_checkpoints(const std::string& folder) {
  std::vector<std::string> paths;
  std::string problems;
  for (const std::int64_t step : steps_in(folder)) {
    paths.push_back(folder + "/" + checkpoint_name(step));
    const std::string problem = problem_of(paths.back());
    if (!problem.empty()) problems += "\n  " + problem;
  }
  std::reverse(paths.begin(), paths.end());
  TORCH_CHECK(!paths.empty(), folder,
              ": no checkpoints here, expected folders step_XXXXXXXX (OUTPUT/checkpoints of a "
              "training)");
  TORCH_CHECK(problems.empty(), folder,
              ": checkpoints are broken; restore them, or move them away:", problems);
  return paths;
}

}  // namespace diffprob::launch

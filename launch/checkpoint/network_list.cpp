#include "launch/checkpoint/network_list.h"

#include <algorithm>
#include <filesystem>

#include "data/error.h"
#include "data/files/sha256.h"
#include "data/files/text_lines.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/manifest.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr const char* kCheckpoints = "checkpoints";

std::string last_part(const std::string& path) {
  const fs::path normal = fs::path(path).lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

std::vector<NetworkFile> checkpoints_in(const std::string& folder) {
  std::vector<NetworkFile> found;
  for (const std::int64_t step : steps_in(folder)) {
    const std::string name = checkpoint_name(step);
    found.push_back({(fs::path(folder) / name).string(), name, step});
  }
  std::reverse(found.begin(), found.end());  // steps_in() has the newest first
  return found;
}

/// Number in front of a name, or nothing.
std::optional<std::int64_t> leading_number(const std::string& name) {
  const auto digits = name.substr(0, name.find_first_not_of("0123456789"));
  std::int64_t number = 0;
  if (digits.empty() || !data::parse_number(digits, number)) return std::nullopt;
  return number;
}

std::vector<NetworkFile> weight_files_in(const std::string& folder) {
  std::vector<NetworkFile> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const auto number = leading_number(name);
    if (number && entry.path().extension() == ".pth")
      found.push_back({(fs::path(folder) / name).string(), name, number});
  }
  const auto is_backbone = [](const NetworkFile& file) {
    return file.name.find("backbone") != std::string::npos;
  };
  if (std::any_of(found.begin(), found.end(), is_backbone))
    std::erase_if(found, [&](const NetworkFile& file) { return !is_backbone(file); });
  std::sort(found.begin(), found.end(), [](const NetworkFile& a, const NetworkFile& b) {
    return std::pair(a.step, a.name) < std::pair(b.step, b.name);
  });
  return found;
}

}  // namespace

NetworkList list_networks(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error) || fs::exists(path + "/" + kManifestFile, error) ||
      fs::exists(path + "/" + part_file(kBackbonePart), error))
    return {false, {{path, last_part(path), std::nullopt}}};
  for (const std::string& folder : {path, (fs::path(path) / kCheckpoints).string()}) {
    NetworkList list{true, checkpoints_in(folder)};
    if (!list.networks.empty()) return list;
  }
  NetworkList list{true, weight_files_in(path)};
  if (!list.networks.empty()) return list;
  throw data::DataError(
      path +
      ": holds no network; expected a checkpoint (manifest.json), a folder of checkpoints "
      "step_*, the output folder of a training, or a folder of files N*.pth");
}

void check_network_digest(const std::string& path) {
  if (!fs::is_directory(path)) return;
  const Manifest manifest = read_manifest(path);
  const std::string name = part_file(checkpoint_has(path, "ema") ? "ema" : kBackbonePart);
  const auto record = std::find_if(manifest.files.begin(), manifest.files.end(),
                                   [&](const FileRecord& file) { return file.name == name; });
  if (record == manifest.files.end())
    throw data::DataError(path + "/manifest.json: names no " + name);
  if (data::sha256_file(path + "/" + name) != record->sha256)
    throw data::DataError(path + "/" + name +
                          ": is corrupted: its SHA-256 is not the one in manifest.json");
}

}  // namespace diffprob::launch

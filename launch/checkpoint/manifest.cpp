#include "launch/checkpoint/manifest.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <filesystem>

#include "data/files/sha256.h"
#include "launch/observe/json_file.h"
#include "launch/observe/json_member.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr int kFormatVersion = 2;
constexpr const char* kDigestKey = "manifest_sha256";

void check_version(const std::string& path, const nlohmann::json& json) {
  const auto version = json_member<std::int64_t>(json, "format_version");
  if (version == kFormatVersion) return;
  throw OtherVersion(
      {__func__, __FILE__, static_cast<std::uint32_t>(__LINE__)},
      c10::str(path, ": format_version ", version, ", but this program reads ", kFormatVersion,
               version > kFormatVersion ? "; use a newer diffprob"
                                        : "; use the diffprob that wrote it"));
}

nlohmann::json best_to_json(const CheckpointInfo& info) {
  if (!info.best_value) return nullptr;
  return {{"set", info.best_set}, {"value", *info.best_value}, {"step", info.best_step}};
}

void best_from_json(const nlohmann::json& best, CheckpointInfo& info) {
  if (best.is_null()) return;
  info.best_set = json_member<std::string>(best, "set");
  info.best_value = json_member<double>(best, "value");
  info.best_step = json_member<std::int64_t>(best, "step");
}

nlohmann::json to_json(const Manifest& manifest) {
  const CheckpointInfo& info = manifest.info;
  return {{"format_version", kFormatVersion},
          {"step", info.step},
          {"epoch", info.epoch},
          {"batch", info.batch},
          {"consumed_samples", info.consumed_samples},
          {"train_seconds", info.train_seconds},
          {"seed", info.seed},
          {"backbone", info.backbone},
          {"embedding_dim", info.embedding_dim},
          {"num_classes", info.num_classes},
          {"loss", info.loss},
          {"scale", info.scale},
          {"margin", info.margin},
          {"schedule", info.schedule},
          {"counters", info.counters},
          {"best", best_to_json(info)},
          {"world_size", manifest.world_size},
          {"settings", info.settings},
          {"config", info.config},
          {"config_sha256", data::sha256_hex(info.config)},
          {"files", to_json(manifest.files)}};
}

CheckpointInfo info_from_json(const nlohmann::json& m) {
  CheckpointInfo info;
  const auto read = [&m]<class T>(const char* key, T& member) { member = json_member<T>(m, key); };
  read("step", info.step);
  read("epoch", info.epoch);
  read("batch", info.batch);
  read("consumed_samples", info.consumed_samples);
  read("train_seconds", info.train_seconds);
  read("seed", info.seed);
  read("backbone", info.backbone);
  read("embedding_dim", info.embedding_dim);
  read("num_classes", info.num_classes);
  read("loss", info.loss);
  read("scale", info.scale);
  read("margin", info.margin);
  read("schedule", info.schedule);
  read("settings", info.settings);
  read("config", info.config);
  for (const auto& [name, count] : m.at("counters").items())
    info.counters[name] = json_as<std::int64_t>(count, name);
  best_from_json(m.at("best"), info);
  return info;
}

}  // namespace

std::string checkpoint_name(std::int64_t step) {
  return fmt::format("step_{:08d}", step);
}

std::string part_file(const std::string& part) {
  return part + ".pth";
}

std::string rank_file(const std::string& stem, int rank, int world_size) {
  return fmt::format("{}.{:05d}-of-{:05d}.pth", stem, rank, world_size);
}

std::vector<std::int64_t> steps_in(const std::string& folder) {
  std::vector<std::int64_t> steps;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing)) {
    const std::string name = entry.path().filename();
    const bool number = name.size() >= 13 && name.size() < 24 &&
                        name.find_first_not_of("0123456789", 5) == std::string::npos;
    if (name.starts_with("step_") && number) steps.push_back(std::stoll(name.substr(5)));
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

std::vector<FileRecord> Manifest::shards() const {
  std::vector<FileRecord> found;
  std::copy_if(files.begin(), files.end(), std::back_inserter(found),
               [](const FileRecord& file) { return file.first_class >= 0; });
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first_class < b.first_class; });
  return found;
}

bool Manifest::has(const std::string& file_name) const {
  return std::any_of(files.begin(), files.end(),
                     [&](const FileRecord& file) { return file.name == file_name; });
}

nlohmann::json to_json(const std::vector<FileRecord>& files) {
  nlohmann::json list = nlohmann::json::array();
  for (const FileRecord& file : files) {
    list.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
    if (file.first_class >= 0)
      list.back().update({{"first_class", file.first_class}, {"rows", file.num_rows}});
  }
  return list;
}

std::vector<FileRecord> files_from_json(const nlohmann::json& list) {
  std::vector<FileRecord> files;
  for (const auto& item : list) {
    FileRecord file{json_member<std::string>(item, "name"),
                    json_member<std::int64_t>(item, "bytes"),
                    json_member<std::string>(item, "sha256")};
    if (item.contains("first_class")) {
      file.first_class = json_member<std::int64_t>(item, "first_class");
      file.num_rows = json_member<std::int64_t>(item, "rows");
    }
    TORCH_CHECK(!file.name.empty() && file.name.find('/') == std::string::npos && file.name != "..",
                "file name '", file.name, "' does not name a file of the checkpoint");
    files.push_back(std::move(file));
  }
  return files;
}

std::string manifest_digest(nlohmann::json json) {
  json.erase(kDigestKey);
  return data::sha256_hex(json.dump());
}

void write_manifest(const std::string& checkpoint, const Manifest& manifest) {
  nlohmann::json json = to_json(manifest);
  json[kDigestKey] = manifest_digest(json);
  write_json(checkpoint + "/" + kManifestFile, json);
}

Manifest read_manifest(const std::string& checkpoint) {
  const std::string path = checkpoint + "/" + kManifestFile;
  const nlohmann::json json = read_json(path);
  try {
    check_version(path, json);
    TORCH_CHECK(manifest_digest(json) == json_member<std::string>(json, kDigestKey),
                "its SHA-256 does not match");
    Manifest manifest{info_from_json(json), json_member<int>(json, "world_size"),
                      files_from_json(json.at("files"))};
    TORCH_CHECK(
        data::sha256_hex(manifest.info.config) == json_member<std::string>(json, "config_sha256"),
        "the SHA-256 of the configuration does not match");
    return manifest;
  } catch (const OtherVersion&) {
    throw;
  } catch (const c10::Error& error) {
    TORCH_CHECK(false, path, ": ", error.what_without_backtrace());
  } catch (const std::exception& error) {
    TORCH_CHECK(false, path, ": ", error.what());
  }
}

}  // namespace diffprob::launch

#include "launch/checkpoint.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/atomic_file.h"
#include "data/sha256.h"
#include "launch/json_file.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr int kFormatVersion = 1;
constexpr const char* kBackboneFile = "backbone.pth";
constexpr const char* kMomentaFile = "optimizer.pth";
constexpr const char* kManifest = "manifest.json";

std::string step_name(std::int64_t step) {
  return fmt::format("step_{:08d}", step);
}
std::string head_file(int rank, int world_size) {
  return fmt::format("head.{:05d}-of-{:05d}.pth", rank, world_size);
}

struct FileRecord {
  std::string name;
  std::int64_t bytes;
  std::string sha256;
};

std::vector<FileRecord> write_own_files(const std::string& folder, const CheckpointState& state, Runtime& runtime) {
  std::vector<std::string> names;
  if (runtime.is_root()) {
    model::write_pth(folder + "/" + kBackboneFile, state.backbone);
    model::write_pth(folder + "/" + kMomentaFile, state.backbone_momenta);
    names = {kBackboneFile, kMomentaFile};
  }
  names.push_back(head_file(runtime.rank(), runtime.world_size()));
  model::StateDict head = {{"weight", state.head_weight}, {"first_class", at::tensor({state.first_class}, at::kLong)}};
  if (state.head_momentum.defined()) head.emplace_back("momentum", state.head_momentum);
  model::write_pth(folder + "/" + names.back(), head);

  std::vector<FileRecord> records;
  for (const auto& name : names) {
    const std::string path = folder + "/" + name;
    records.push_back({name, static_cast<std::int64_t>(fs::file_size(path)), data::sha256_file(path)});
  }
  return records;
}

/// All ranks' file records as JSON, in rank order, on every rank.
nlohmann::json gather_records(const std::vector<FileRecord>& own, Runtime& runtime) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& file : own) list.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  const std::string text = list.dump();
  std::vector<std::int64_t> counts;
  const auto all = runtime.control().all_gather_v(std::span<const char>(text.data(), text.size()), &counts);
  nlohmann::json files = nlohmann::json::array();
  auto at = all.begin();
  for (const auto count : counts) {
    for (const auto& file : nlohmann::json::parse(at, at + count)) files.push_back(file);
    at += count;
  }
  return files;
}

nlohmann::json manifest_of(const CheckpointInfo& info, nlohmann::json files, int world_size) {
  return {{"format_version", kFormatVersion},
          {"step", info.step},
          {"epoch", info.epoch},
          {"batch", info.batch},
          {"train_seconds", info.train_seconds},
          {"backbone", info.backbone},
          {"embedding_dim", info.embedding_dim},
          {"num_classes", info.num_classes},
          {"loss", info.loss},
          {"scale", info.scale},
          {"margin", info.margin},
          {"world_size", world_size},
          {"settings", info.settings},
          {"files", std::move(files)}};
}

nlohmann::json read_manifest(const std::string& checkpoint) {
  const std::string path = checkpoint + "/" + kManifest;
  const nlohmann::json manifest = read_json(path);
  const int version = manifest.value("format_version", 0);
  TORCH_CHECK(version == kFormatVersion, path, ": format_version ", version, ", this program reads ", kFormatVersion,
              version > kFormatVersion ? "; use a newer diffprob" : "");
  return manifest;
}

/// Steps of the checkpoints of a folder, newest first.
std::vector<std::int64_t> steps_in(const std::string& folder) {
  std::vector<std::int64_t> steps;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("step_") && name.size() == 13 && name.find_first_not_of("0123456789", 5) == std::string::npos) {
      steps.push_back(std::stoll(name.substr(5)));
    }
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

/// What is wrong with this rank's share of the files, or "".
std::string check_share(const std::string& checkpoint, int rank, int world_size) {
  try {
    const auto files = read_manifest(checkpoint).at("files");
    for (std::size_t i = static_cast<std::size_t>(rank); i < files.size(); i += static_cast<std::size_t>(world_size)) {
      const std::string path = checkpoint + "/" + files[i].at("name").get<std::string>();
      if (!fs::exists(path)) return path + " is missing";
      const auto bytes = static_cast<std::int64_t>(fs::file_size(path));
      if (bytes != files[i].at("bytes")) return fmt::format("{} has {} bytes, expected {}", path, bytes, files[i].at("bytes").dump());
      if (data::sha256_file(path) != files[i].at("sha256")) return path + " does not have the SHA-256 of the manifest";
    }
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

void remove_old(const std::string& folder, std::int64_t keep) {
  const auto steps = steps_in(folder);
  for (std::size_t i = static_cast<std::size_t>(keep); i < steps.size(); ++i) fs::remove_all(folder + "/" + step_name(steps[i]));
}

void copy_rows(const at::Tensor& from, std::int64_t from_first, at::Tensor& into, std::int64_t into_first) {
  const std::int64_t first = std::max(from_first, into_first);
  const std::int64_t last = std::min(from_first + from.size(0), into_first + into.size(0));
  if (first < last) into.narrow(0, first - into_first, last - first).copy_(from.narrow(0, first - from_first, last - first));
}

const at::Tensor& entry(const model::StateDict& entries, const std::string& name, const std::string& path) {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.first == name; });
  TORCH_CHECK(found != entries.end(), path, ": no entry '", name, "'");
  return found->second;
}

void load_entries(const std::string& path, model::StateDict& into) {
  const model::StateDict entries = model::read_pth(path);
  for (auto& [name, tensor] : into) {
    const at::Tensor& source = entry(entries, name, path);
    TORCH_CHECK(source.sizes() == tensor.sizes(), path, ": ", name, " has shape ", source.sizes(), ", expected ", tensor.sizes());
    tensor.copy_(source);
  }
}

void load_head(const std::string& checkpoint, const nlohmann::json& manifest, CheckpointState& state) {
  const int shards = manifest.at("world_size");
  std::int64_t rows = 0;
  for (int shard = 0; shard < shards; ++shard) {
    const std::string path = checkpoint + "/" + head_file(shard, shards);
    const model::StateDict entries = model::read_pth(path);
    const std::int64_t first = entry(entries, "first_class", path).item<std::int64_t>();
    const at::Tensor& weight = entry(entries, "weight", path);
    TORCH_CHECK(first == rows && weight.dim() == 2 && weight.size(1) == state.head_weight.size(1), path, ": rows from ", first,
                " with shape ", weight.sizes(), ", expected rows from ", rows, " of size ", state.head_weight.size(1));
    rows += weight.size(0);
    copy_rows(weight, first, state.head_weight, state.first_class);
    if (state.head_momentum.defined()) copy_rows(entry(entries, "momentum", path), first, state.head_momentum, state.first_class);
  }
  TORCH_CHECK(rows == manifest.at("num_classes"), checkpoint, ": head shards hold ", rows, " classes, the manifest says ",
              manifest.at("num_classes").dump());
}

std::map<std::string, std::string> lines_of(const std::string& settings) {
  std::map<std::string, std::string> lines;
  std::istringstream in(settings);
  for (std::string line; std::getline(in, line);) {
    const auto equals = line.find('=');
    if (equals != std::string::npos) lines[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return lines;
}

}  // namespace

std::string save_checkpoint(const std::string& folder, const CheckpointInfo& info, const CheckpointState& state, std::int64_t keep,
                            Runtime& runtime) {
  const std::string final_path = folder + "/" + step_name(info.step);
  const std::string temporary = final_path + ".tmp";
  if (runtime.is_root()) {
    fs::remove_all(temporary);
    fs::create_directories(temporary);
  }
  runtime.control().barrier("checkpoint folder");
  const auto files = gather_records(write_own_files(temporary, state, runtime), runtime);
  if (runtime.is_root()) {
    write_json(temporary + "/" + kManifest, manifest_of(info, files, runtime.world_size()));
    fs::remove_all(final_path);
    fs::rename(temporary, final_path);
    data::sync_folder(folder);
    remove_old(folder, keep);
  }
  runtime.control().barrier("checkpoint published");
  return final_path;
}

std::optional<std::string> find_checkpoint(const std::string& folder, Runtime& runtime) {
  std::string names;
  if (runtime.is_root()) {
    for (const auto step : steps_in(folder)) names += step_name(step) + "\n";
  }
  std::istringstream list(runtime.control().broadcast(names, 0));
  for (std::string name; std::getline(list, name);) {
    const std::string path = folder + "/" + name;
    const std::string problem = check_share(path, runtime.rank(), runtime.world_size());
    if (!problem.empty()) spdlog::warn("checkpoint {} is broken and passed over: {}", path, problem);
    if (runtime.control().all_reduce<std::int32_t>(problem.empty() ? 0 : 1, dist::ReduceOp::kMax) == 0) return path;
  }
  return std::nullopt;
}

CheckpointInfo read_checkpoint_info(const std::string& checkpoint) {
  const nlohmann::json m = read_manifest(checkpoint);
  try {
    return {m.at("step"),        m.at("epoch"), m.at("batch"), m.at("train_seconds"), m.at("backbone"), m.at("embedding_dim"),
            m.at("num_classes"), m.at("loss"),  m.at("scale"), m.at("margin"),        m.at("settings")};
  } catch (const nlohmann::json::exception& error) {
    TORCH_CHECK(false, checkpoint, "/", kManifest, ": ", error.what());
  }
}

std::string checkpoint_fingerprint(const std::string& checkpoint) {
  const nlohmann::json manifest = read_manifest(checkpoint);
  std::string digests;
  for (const auto& file : manifest.at("files")) digests += file.at("sha256").get<std::string>();
  return data::sha256_hex(digests);
}

void load_checkpoint(const std::string& checkpoint, CheckpointState& state) {
  const at::NoGradGuard no_grad;
  const nlohmann::json manifest = read_manifest(checkpoint);
  load_entries(checkpoint + "/" + kBackboneFile, state.backbone);
  if (!state.backbone_momenta.empty()) load_entries(checkpoint + "/" + kMomentaFile, state.backbone_momenta);
  if (state.head_weight.defined()) load_head(checkpoint, manifest, state);
}

std::vector<std::string> settings_differences(const std::string& then, const std::string& now) {
  const auto before = lines_of(then);
  const auto after = lines_of(now);
  std::vector<std::string> differences;
  for (const auto& [key, value] : after) {
    const auto old = before.find(key);
    if (old == before.end())
      differences.push_back(key + ": was not there, is " + value);
    else if (old->second != value)
      differences.push_back(key + ": was " + old->second + ", is " + value);
  }
  for (const auto& [key, value] : before) {
    if (!after.contains(key)) differences.push_back(key + ": was " + value + ", is gone");
  }
  return differences;
}

}  // namespace diffprob::launch

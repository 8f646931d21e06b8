// Finds and loads checkpoints.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "data/files/sha256.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/checkpoint/manifest.h"
#include "model/weights/find_entry.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

/// Why this rank's share of the files cannot be used, or "".
std::string check_share(const std::string& checkpoint, int rank, int world_size) {
  try {
    const Manifest manifest = read_manifest(checkpoint);
    for (std::size_t i = static_cast<std::size_t>(rank); i < manifest.files.size();
         i += static_cast<std::size_t>(world_size)) {
      const FileRecord& file = manifest.files[i];
      const std::string path = checkpoint + "/" + file.name;
      if (!fs::exists(path)) return path + " is missing";
      const auto bytes = static_cast<std::int64_t>(fs::file_size(path));
      if (bytes != file.bytes)
        return fmt::format("{} has {} bytes, expected {}", path, bytes, file.bytes);
      if (data::sha256_file(path) != file.sha256)
        return path + " does not match its SHA-256 in the manifest";
    }
  } catch (const OtherVersion&) {
    throw;
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

void mark_broken(const std::string& path) {
  std::error_code failed;
  fs::remove_all(path + ".broken", failed);
  fs::rename(path, path + ".broken", failed);
  if (failed) spdlog::warn("{} could not be renamed: {}", path, failed.message());
}

void load_entries(const std::string& path, const model::StateDict& into) {
  const model::StateDict entries = model::read_pth(path);
  for (const auto& [name, tensor] : into) {
    const at::Tensor& source = model::need_entry(entries, name, path);
    TORCH_CHECK(source.sizes() == tensor.sizes(), path, ": ", name, " has shape ", source.sizes(),
                ", expected ", tensor.sizes());
  }
  for (const auto& [name, tensor] : into) tensor.copy_(model::need_entry(entries, name, path));
}

/// Copies the rows that both have; both start at a class id of their own.
void copy_rows(const at::Tensor& from, std::int64_t from_first, const at::Tensor& into,
               std::int64_t into_first) {
  const std::int64_t first = std::max(from_first, into_first);
  const std::int64_t last = std::min(from_first + from.size(0), into_first + into.size(0));
  if (first < last)
    into.narrow(0, first - into_first, last - first)
        .copy_(from.narrow(0, first - from_first, last - first));
}

class Load {
 public:
  Load(const std::string& checkpoint, CheckpointState& state,
       const std::vector<std::string>& may_differ)
      : checkpoint_(checkpoint),
        manifest_(read_manifest(checkpoint)),
        state_(state),
        may_differ_(may_differ) {}

  void run() {
    if (!state_.backbone.empty()) load_entries(path(part_file(kBackbonePart)), state_.backbone);
    for (const auto& part : state_.replicated) load_part(part);
    if (!state_.rows.empty()) load_rows();
    const std::string own = rank_file("local", state_.rank, state_.world_size);
    if (!state_.local.empty() && manifest_.world_size == state_.world_size && manifest_.has(own))
      load_entries(path(own), state_.local);
  }

 private:
  [[nodiscard]] std::string path(const std::string& file) const { return checkpoint_ + "/" + file; }
  [[nodiscard]] bool may_differ(const std::string& name) const {
    return std::find(may_differ_.begin(), may_differ_.end(), name) != may_differ_.end();
  }
  static void say_left(const std::string& name) {
    spdlog::warn("{} starts from scratch: the checkpoint does not hold it in this form", name);
  }

  void load_part(const ReplicatedPart& part) {
    if (may_differ(part.name)) {
      try {
        load_entries(path(part_file(part.name)), part.entries);
      } catch (const std::exception&) {
        say_left(part.name);
      }
      return;
    }
    load_entries(path(part_file(part.name)), part.entries);
  }

  void load_rows() {
    std::int64_t rows = 0;
    for (const FileRecord& shard : manifest_.shards()) {
      TORCH_CHECK(shard.first_class == rows && shard.num_rows >= 0, path(shard.name),
                  ": rows from class ", shard.first_class, ", expected from class ", rows);
      rows += shard.num_rows;
      const std::int64_t own_rows = state_.rows.front().second.size(0);
      if (shard.first_class < state_.first_class + own_rows && rows > state_.first_class)
        load_shard(shard);
    }
    TORCH_CHECK(rows == manifest_.info.num_classes, checkpoint_, ": head shards hold ", rows,
                " classes, but the manifest says ", manifest_.info.num_classes);
  }

  void load_shard(const FileRecord& shard) {
    const std::string file = path(shard.name);
    const model::StateDict entries = model::read_pth(file);
    for (const auto& [name, tensor] : state_.rows) {
      const at::Tensor* source = model::find_entry(entries, name);
      const bool fits = source != nullptr && source->dim() == tensor.dim() &&
                        source->size(0) == shard.num_rows &&
                        source->sizes().slice(1) == tensor.sizes().slice(1);
      if (!fits && may_differ("head." + name)) {
        say_left("head." + name);
        continue;
      }
      const at::Tensor& rows = model::need_entry(entries, name, file);
      TORCH_CHECK(fits, file, ": ", name, " has shape ", rows.sizes(), ", expected ",
                  shard.num_rows, " rows of ", tensor.sizes().slice(1));
      copy_rows(rows, shard.first_class, tensor, state_.first_class);
    }
  }

  const std::string& checkpoint_;
  Manifest manifest_;
  CheckpointState& state_;
  const std::vector<std::string>& may_differ_;
};

}  // namespace

std::optional<std::string> find_checkpoint(const std::string& folder,
                                           dist::HostCollectives& control) {
  std::string names;
  if (control.rank() == 0) {
    for (const auto step : steps_in(folder)) names += checkpoint_name(step) + "\n";
  }
  std::istringstream list(control.broadcast(names, 0));
  for (std::string name; std::getline(list, name);) {
    const std::string path = folder + "/" + name;
    const std::string problem = check_share(path, control.rank(), control.world_size());
    if (!problem.empty())
      spdlog::warn("checkpoint {} is corrupted; renamed to {}.broken and skipped: {}", path, name,
                   problem);
    if (control.all_reduce<std::int32_t>(problem.empty() ? 0 : 1, dist::ReduceOp::kMax) == 0)
      return path;
    if (control.rank() == 0) mark_broken(path);
  }
  return std::nullopt;
}

CheckpointInfo read_checkpoint_info(const std::string& checkpoint) {
  return read_manifest(checkpoint).info;
}

std::string checkpoint_fingerprint(const std::string& checkpoint) {
  std::string digests;
  for (const auto& file : read_manifest(checkpoint).files) digests += file.sha256;
  return data::sha256_hex(digests);
}

bool checkpoint_has(const std::string& checkpoint, const std::string& part) {
  return read_manifest(checkpoint).has(part_file(part));
}

std::vector<std::string> checkpoint_rank_files(const std::string& checkpoint,
                                               const std::string& stem) {
  const Manifest manifest = read_manifest(checkpoint);
  std::vector<std::string> paths;
  if (!manifest.has(rank_file(stem, 0, manifest.world_size))) return paths;
  for (int rank = 0; rank < manifest.world_size; ++rank) {
    const std::string name = rank_file(stem, rank, manifest.world_size);
    TORCH_CHECK(manifest.has(name), checkpoint, ": ", name, " is missing from its manifest");
    paths.push_back(checkpoint + "/" + name);
  }
  return paths;
}

void load_checkpoint(const std::string& checkpoint, CheckpointState& state,
                     const std::vector<std::string>& may_differ) {
  const at::NoGradGuard no_grad;
  Load(checkpoint, state, may_differ).run();
}

}  // namespace diffprob::launch

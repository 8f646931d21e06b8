#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launch/checkpoint/checkpoint.h"

namespace diffprob::launch {

/// Names inside a folder of checkpoints; launch/checkpoint/CHECKPOINT_FORMAT.md says what is in the
/// files.
inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr const char* kBackbonePart = "backbone";
inline constexpr const char* kReplacedSuffix = ".replaced";
inline constexpr const char* kTemporaryMark = ".tmp.";
[[nodiscard]] std::string checkpoint_name(std::int64_t step);
[[nodiscard]] std::string part_file(const std::string& part);
/// "head", "local" and "dynamics" files: STEM.RRRRR-of-WWWWW.pth
[[nodiscard]] std::string rank_file(const std::string& stem, int rank, int world_size);

/// Steps of the checkpoints of a folder, newest first; empty when there is no such folder.
[[nodiscard]] std::vector<std::int64_t> steps_in(const std::string& folder);

/// One file of a checkpoint.
struct FileRecord {
  std::string name;
  std::int64_t bytes = 0;
  std::string sha256;
  std::int64_t first_class = -1;  ///< of a head shard; -1: not a shard
  std::int64_t num_rows = 0;
};

/// What manifest.json holds.
struct Manifest {
  CheckpointInfo info;
  int world_size = 1;  ///< ranks that wrote it, one head shard each
  std::vector<FileRecord> files;

  /// In the order of classes.
  [[nodiscard]] std::vector<FileRecord> shards() const;
  [[nodiscard]] bool has(const std::string& file_name) const;
};

[[nodiscard]] nlohmann::json to_json(const std::vector<FileRecord>& files);
/// Throws a std::exception when a member is missing or a name leaves the folder.
[[nodiscard]] std::vector<FileRecord> files_from_json(const nlohmann::json& list);

/// SHA-256 of manifest.json's members but this digest itself, compact, keys in order.
[[nodiscard]] std::string manifest_digest(nlohmann::json json);
void write_manifest(const std::string& checkpoint, const Manifest& manifest);
/// Throws std::exception naming the file: not JSON, a member missing, a wrong digest; OtherVersion
/// below.
[[nodiscard]] Manifest read_manifest(const std::string& checkpoint);

/// A checkpoint that is not broken, but not for this program.
class OtherVersion : public c10::Error {
 public:
  using c10::Error::Error;
};

}  // namespace diffprob::launch

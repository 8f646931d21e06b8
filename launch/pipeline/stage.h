#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launch/job/runtime.h"

namespace diffprob::launch {

/// One step of the pipeline, in a folder of its own: OUTPUT/NAME. Its manifest, stage.json, is
/// written last: it holds the digest of what the stage was made from and what came out. A stage
/// whose manifest has the same digest and whose files are still there is skipped; one made from
/// other inputs is moved aside (NAME.stale-DIGEST), never overwritten. All ranks make the same
/// Stage objects in the same order.
class Stage {
 public:
  /// `inputs`: text that names everything that the result depends on. Collective.
  Stage(const std::string& output, const std::string& name, const std::string& inputs,
        Runtime& runtime);

  /// Whether such a stage is done; looks without touching anything. Collective.
  [[nodiscard]] static bool is_done(const std::string& output, const std::string& name,
                                    const std::string& inputs, Runtime& runtime);

  [[nodiscard]] bool done() const noexcept { return !result_.is_null(); }
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::string path(const std::string& file) const { return folder_ + "/" + file; }
  /// What complete() was given; null until then.
  [[nodiscard]] const nlohmann::json& result() const noexcept { return result_; }
  /// Digest of inputs, for stages that depend on this one.
  [[nodiscard]] const std::string& digest() const noexcept { return digest_; }

  /// `files`: relative names that must be there for the stage to count as done. Collective; rank 0
  /// writes.
  void complete(nlohmann::json result, const std::vector<std::string>& files);

 private:
  void open();

  Runtime& runtime_;
  std::string name_;
  std::string folder_;
  std::string digest_;
  nlohmann::json result_;
};

}  // namespace diffprob::launch

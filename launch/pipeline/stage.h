#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launch/job/runtime.h"

namespace diffprob::launch {

/// What the result of a stage depends on.
struct StageInputs {
  std::string digested;  ///< all of it; its SHA-256 decides whether a finished stage is taken
  /// The same for people, one key=value per line. Says what differs, and where less than the whole
  /// stage has to be done again. May be empty.
  std::string text{};
  std::vector<std::string> may_differ{};  ///< keys or sections that a stage may go on with, changed
  std::vector<std::string> evaluation{};  ///< keys or sections that change its evaluation alone
};

/// One step of the pipeline, in a folder of its own: OUTPUT/NAME. Its manifest, stage.json, is
/// written last: it holds the digest of what the stage was made from and what came out. A stage
/// whose manifest has the same digest and whose files are still there is skipped; one made from
/// other inputs is moved aside (NAME.stale-DIGEST), never overwritten, unless only keys differ that
/// may differ or that change its evaluation alone. All ranks make the same
/// Stage objects in the same order.
class Stage {
 public:
  /// Collective.
  Stage(const std::string& output, const std::string& name, StageInputs inputs, Runtime& runtime);

  /// Whether such a stage is done; looks without touching anything. Collective.
  [[nodiscard]] static bool is_done(const std::string& output, const std::string& name,
                                    const std::string& inputs, Runtime& runtime);

  [[nodiscard]] bool done() const noexcept { return !result_.is_null(); }
  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::string path(const std::string& file) const { return folder_ + "/" + file; }
  /// What complete() was given; null until then.
  [[nodiscard]] const nlohmann::json& result() const noexcept { return result_; }
  /// The result of the finished stage of which only the evaluation has to be done again; null when
  /// there is no such thing.
  [[nodiscard]] const nlohmann::json& before_evaluation() const noexcept { return before_; }
  /// Digest of inputs, for stages that depend on this one.
  [[nodiscard]] const std::string& digest() const noexcept { return digest_; }

  /// `files`: relative names that must be there for the stage to count as done. A result without
  /// `seconds` gets those since the stage was opened. Collective; rank 0 writes.
  void complete(nlohmann::json result, const std::vector<std::string>& files);

 private:
  void open();
  [[nodiscard]] bool take_over(const std::string& digest, const std::string& text);
  void move_aside(const std::string& digest, const std::string& text) const;
  void write_inputs() const;

  Runtime& runtime_;
  StageInputs inputs_;
  std::string name_;
  std::string folder_;
  std::string digest_;
  nlohmann::json result_;
  nlohmann::json before_;
  std::chrono::steady_clock::time_point opened_ = std::chrono::steady_clock::now();
};

}  // namespace diffprob::launch

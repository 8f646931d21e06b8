#include "launch/pipeline/stage.h"

#include <spdlog/fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <filesystem>

#include "data/files/sha256.h"
#include "launch/checkpoint/checkpoint.h"
#include "launch/job/host_allocator.h"
#include "launch/job/remove_temporaries.h"
#include "launch/observe/json_file.h"
#include "launch/observe/json_member.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr const char* kManifest = "stage.json";
constexpr const char* kInputs = "inputs.json";

bool files_are_there(const nlohmann::json& manifest, const std::string& folder) {
  for (const auto& [name, bytes] : manifest.at("files").items()) {
    std::error_code missing;
    const auto found = fs::file_size(folder + "/" + name, missing);
    if (missing || found != json_as<std::uint64_t>(bytes, name)) return false;
  }
  return true;
}

/// What a stage that is done came to; null when it is not done, or was made from other inputs.
nlohmann::json finished_result(const std::string& folder, const std::string& digest) {
  const std::string path = folder + "/" + kManifest;
  if (!fs::exists(path)) return nullptr;
  const auto manifest = read_json(path);
  try {
    return manifest.at("inputs") == digest && files_are_there(manifest, folder)
               ? manifest.at("result")
               : nlohmann::json();
  } catch (const std::exception& error) {
    throw std::runtime_error(path + ": " + error.what() + "; remove the file to repeat the stage");
  }
}

/// Gives a finished stage the digest of inputs that lead to the same result.
void write_manifest(const std::string& folder, const std::string& then, const std::string& now) {
  auto manifest = read_json(folder + "/" + kManifest);
  if (manifest.at("inputs") != then) return;
  manifest["inputs"] = now;
  write_json(folder + "/" + kManifest, manifest);
}

/// Name for what is moved aside; a second one of the same digest gets a number.
std::string stale_name(const std::string& folder, const std::string& digest) {
  const std::string base = folder + ".stale-" + digest.substr(0, 8);
  std::string name = base;
  for (int i = 2; fs::exists(name); ++i) name = base + "-" + std::to_string(i);
  return name;
}

}  // namespace

Stage::Stage(const std::string& output, const std::string& name, StageInputs inputs,
             Runtime& runtime)
    : runtime_(runtime),
      inputs_(std::move(inputs)),
      name_(name),
      folder_(output + "/" + name),
      digest_(data::sha256_hex(inputs_.digested)) {
  std::string text;
  if (runtime.is_root()) {
    open();
    text = nlohmann::json{result_, before_}.dump();
  }
  const auto found = nlohmann::json::parse(runtime.control().broadcast(text, 0));
  result_ = found.at(0);
  before_ = found.at(1);
  if (done())
    spdlog::info("stage {}: done before, inputs unchanged: skipped", name_);
  else if (!before_.is_null())
    spdlog::info("stage {}: done before, only its evaluation is done again", name_);
  else
    spdlog::info("stage {}: starts in {}", name_, folder_);
}

bool Stage::is_done(const std::string& output, const std::string& name, const std::string& inputs,
                    Runtime& runtime) {
  const bool done = runtime.is_root() &&
                    !finished_result(output + "/" + name, data::sha256_hex(inputs)).is_null();
  return runtime.control().broadcast(std::string(done ? "done" : ""), 0) == "done";
}

void Stage::open() {
  const std::string digest_file = folder_ + "/" + kInputs;
  if (fs::exists(digest_file)) {
    const auto then = json_member<std::string>(read_json(digest_file), "inputs");
    if (then != digest_) {
      const std::string text = read_json(digest_file).value("text", "");
      const auto differences = settings_differences(text, inputs_.text);
      if (text.empty() || inputs_.text.empty() || !take_over(then, differences)) {
        const std::string aside = stale_name(folder_, then);
        fs::rename(folder_, aside);
        const std::string which =
            text.empty() ? "" : "\n  " + fmt::format("{}", fmt::join(differences, "\n  "));
        spdlog::warn("stage {}: was made from other inputs; moved to {}{}", name_, aside, which);
      }
    } else {
      result_ = finished_result(folder_, digest_);
    }
  }
  fs::create_directories(folder_);
  if (!done()) remove_leftovers(folder_);
  if (!fs::exists(digest_file)) write_inputs();
}

void Stage::write_inputs() const {
  nlohmann::json json = {{"inputs", digest_}};
  if (!inputs_.text.empty()) json["text"] = inputs_.text;
  write_json(folder_ + "/" + kInputs, json);
}

/// Goes on with a stage made from other inputs where its result allows that.
bool Stage::take_over(const std::string& then, const std::vector<std::string>& differences) {
  const auto left_without = [&](std::vector<std::string> keys) {
    const auto& more = inputs_.may_differ;
    keys.insert(keys.end(), more.begin(), more.end());
    const std::string text = read_json(folder_ + "/" + kInputs).value("text", "");
    return settings_differences(text, inputs_.text, keys);
  };
  const nlohmann::json finished = finished_result(folder_, then);
  if (differences.empty()) {
    result_ = finished;  // what differs has no effect on the result
  } else if (left_without({}).empty()) {
    spdlog::info("stage {}: goes on with other inputs, as train.allow_changes says:\n  {}", name_,
                 fmt::join(differences, "\n  "));
  } else if (!finished.is_null() && left_without(inputs_.evaluation).empty()) {
    before_ = finished;
  } else {
    return false;
  }
  if (!result_.is_null()) write_manifest(folder_, then, digest_);
  write_inputs();
  return true;
}

void Stage::complete(nlohmann::json result, const std::vector<std::string>& files) {
  if (runtime_.is_root()) {
    nlohmann::json sizes = nlohmann::json::object();
    for (const auto& file : files) sizes[file] = fs::file_size(folder_ + "/" + file);
    write_json(folder_ + "/" + kManifest,
               {{"format_version", 1}, {"inputs", digest_}, {"result", result}, {"files", sizes}});
  }
  result_ = std::move(result);
  release_kept_host_memory();
  runtime_.control().barrier("end of stage " + name_);
}

}  // namespace diffprob::launch

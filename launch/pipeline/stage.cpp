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

/// Gives a finished stage the digest of other inputs, which lead to the same result.
void set_inputs(const std::string& folder, const std::string& digest) {
  auto manifest = read_json(folder + "/" + kManifest);
  manifest["inputs"] = digest;
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
  const std::string path = folder_ + "/" + kInputs;
  if (fs::exists(path)) {
    const nlohmann::json then = read_json(path);
    const auto digest = json_member<std::string>(then, "inputs");
    // Runs of earlier programs have the digest alone.
    const std::string text = then.contains("text") ? json_member<std::string>(then, "text") : "";
    if (digest == digest_) {
      result_ = finished_result(folder_, digest_);
    } else if (text.empty() || inputs_.text.empty() || !take_over(digest, text)) {
      move_aside(digest, text);
    }
  }
  fs::create_directories(folder_);
  if (!done()) remove_leftovers(folder_);
  if (!fs::exists(path)) write_inputs();
}

void Stage::move_aside(const std::string& digest, const std::string& text) const {
  const std::string aside = stale_name(folder_, digest);
  fs::rename(folder_, aside);
  std::string differences;
  if (!text.empty() && !inputs_.text.empty()) {
    for (const auto& line : settings_differences(text, inputs_.text)) differences += "\n  " + line;
  }
  spdlog::warn("stage {}: was made from other inputs; moved to {}{}", name_, aside, differences);
}

void Stage::write_inputs() const {
  nlohmann::json json = {{"inputs", digest_}};
  if (!inputs_.text.empty()) json["text"] = inputs_.text;
  write_json(folder_ + "/" + kInputs, json);
}

/// Goes on with what was made from other inputs where that is right. Returns false where it is not.
bool Stage::take_over(const std::string& digest, const std::string& text) {
  const auto differences = settings_differences(text, inputs_.text);
  const auto only_in = [&](const std::vector<std::string>& keys) {
    return settings_differences(text, inputs_.text, keys).empty();
  };
  std::vector<std::string> allowed = inputs_.evaluation;
  allowed.insert(allowed.end(), inputs_.may_differ.begin(), inputs_.may_differ.end());
  const nlohmann::json finished = finished_result(folder_, digest);
  if (differences.empty()) {  // what differs has no effect on the result
    result_ = finished;
    if (done()) set_inputs(folder_, digest_);
  } else if (!finished.is_null() && only_in(inputs_.evaluation)) {
    before_ = finished;
  } else if (only_in(allowed)) {
    spdlog::info("stage {}: goes on with other inputs:\n  {}", name_,
                 fmt::join(differences, "\n  "));
  } else {
    return false;
  }
  write_inputs();
  return true;
}

void Stage::complete(nlohmann::json result, const std::vector<std::string>& files) {
  if (!result.contains("seconds"))
    result["seconds"] =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - opened_).count();
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

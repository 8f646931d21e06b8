#include "launch/pipeline/stage.h"

#include <spdlog/spdlog.h>

#include <filesystem>

#include "data/files/sha256.h"
#include "launch/job/host_allocator.h"
#include "launch/job/remove_temporaries.h"
#include "launch/observe/json_file.h"
#include "launch/observe/json_member.h"

namespace diffprob::launch {
namespace fs = std::filesystem;
namespace {

constexpr const char* kManifest = "stage.json";

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

/// Name for what is moved aside; a second one of the same digest gets a number.
std::string stale_name(const std::string& folder, const std::string& digest) {
  const std::string base = folder + ".stale-" + digest.substr(0, 8);
  std::string name = base;
  for (int i = 2; fs::exists(name); ++i) name = base + "-" + std::to_string(i);
  return name;
}

}  // namespace

Stage::Stage(const std::string& output, const std::string& name, const std::string& inputs,
             Runtime& runtime)
    : runtime_(runtime),
      name_(name),
      folder_(output + "/" + name),
      digest_(data::sha256_hex(inputs)) {
  std::string text;
  if (runtime.is_root()) {
    open();
    text = result_.dump();
  }
  result_ = nlohmann::json::parse(runtime.control().broadcast(text, 0));
  if (done())
    spdlog::info("stage {}: done before, inputs unchanged: skipped", name_);
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
  const std::string digest_file = folder_ + "/inputs.json";
  if (fs::exists(digest_file)) {
    const auto then = json_member<std::string>(read_json(digest_file), "inputs");
    if (then != digest_) {
      const std::string aside = stale_name(folder_, then);
      fs::rename(folder_, aside);
      spdlog::warn("stage {}: was made from other inputs; moved to {}", name_, aside);
    } else {
      result_ = finished_result(folder_, digest_);
    }
  }
  fs::create_directories(folder_);
  if (!done()) remove_leftovers(folder_);
  if (!fs::exists(digest_file)) write_json(digest_file, {{"inputs", digest_}});
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

// manifest.json of a checkpoint: [choice][JSON]. By choice its digests are made right first, else
// no input would come past them.
#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include "data/files/sha256.h"
#include "launch/checkpoint/manifest.h"
#include "tests/fuzz/input_folder.h"

using namespace diffprob;

namespace {

std::string with_digests(std::string_view text) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::string(text);
  try {
    if (json.contains("config") && json["config"].is_string())
      json["config_sha256"] = data::sha256_hex(json["config"].get<std::string>());
    json["manifest_sha256"] = launch::manifest_digest(json);
    return json.dump();
  } catch (const nlohmann::json::exception&) {  // strings that are not UTF-8
    return std::string(text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const bool right = input.choice(4) != 0;
  const auto& folder = fuzz::input_folder();
  folder.put(launch::kManifestFile, right ? with_digests(input.rest()) : std::string(input.rest()));
  fuzz::expect_reads_or<std::exception>(launch::kManifestFile, [&] {
    const launch::Manifest manifest = launch::read_manifest(folder.path());
    for (const auto& file : manifest.files) {
      if (file.name.find('/') != std::string::npos) std::abort();
    }
    (void)manifest.shards();
  });
  return 0;
}

#include "launch/output_folder.h"

#include <filesystem>

#include "data/atomic_file.h"
#include "dist/operations_file.h"

namespace diffprob::launch {

void make_output_folder(const Config& config, Runtime& runtime) {
  if (runtime.is_root()) {
    std::filesystem::create_directories(config.output);
    data::write_file_atomically(config.output + "/config.yaml", dump_config(config, DumpStyle::kPlain));
  }
  runtime.control().barrier("output folder");
  dist::set_dump_folder(config.output);
}

Metrics open_metrics(const Config& config, const Runtime& runtime, const std::string& name) {
  return runtime.is_root() ? Metrics(config.output + "/" + name) : Metrics();
}

}  // namespace diffprob::launch

#include "launch/job/output_folder.h"

#include <chrono>
#include <filesystem>

#include "data/files/atomic_file.h"
#include "dist/mpi/operations_file.h"
#include "launch/job/remove_temporaries.h"
#include "launch/observe/log.h"

namespace diffprob::launch {
namespace {

constexpr std::chrono::seconds kLockPatience{10};  // for the ranks of a job that is being ended

/// A job of one cell of a sweep shares the folder with those of other cells.
bool shares_folder(const Config& config) {
  return config.sweep.cell > 0;
}

/// Jobs that share the folder have a file each.
std::string log_name(const Config& config) {
  return shares_folder(config) ? "training.cell" + std::to_string(config.sweep.cell) + ".log"
                               : "training.log";
}

}  // namespace

FolderLock lock_folder(const std::string& folder, FolderLock::Mode mode, Runtime& runtime) {
  FolderLock lock;
  runtime.control().set_phase(dist::Phase::kStartup);
  if (runtime.is_root()) {
    std::filesystem::create_directories(folder);
    lock = FolderLock(folder, mode, kLockPatience);
  }
  runtime.control().barrier("output folder");
  runtime.control().set_phase(dist::Phase::kStep);
  return lock;
}

FolderLock make_output_folder(const Config& config, Runtime& runtime) {
  FolderLock lock = lock_folder(
      config.output, shares_folder(config) ? FolderLock::Mode::kShared : FolderLock::Mode::kAlone,
      runtime);
  if (runtime.is_root()) {
    if (!shares_folder(config)) remove_leftovers(config.output);
    data::write_file_atomically(config.output + "/config.yaml",
                                dump_config(config, DumpStyle::kPlain));
    log_to_file(config.output + "/" + log_name(config));
  }
  dist::set_dump_folder(config.output);
  return lock;
}

Metrics open_metrics(const Config& config, const Runtime& runtime, const std::string& name) {
  return runtime.is_root() ? Metrics(config.output + "/" + name) : Metrics();
}

}  // namespace diffprob::launch

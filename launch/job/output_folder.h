#pragma once

#include <string>

#include "launch/config/config.h"
#include "launch/job/folder_lock.h"
#include "launch/job/runtime.h"
#include "launch/observe/metrics.h"

namespace diffprob::launch {

/// Makes a folder and locks it on rank 0, after 10 s at most. Throws std::runtime_error there when
/// another job has it. Collective.
[[nodiscard]] FolderLock lock_folder(const std::string& folder, FolderLock::Mode mode,
                                     Runtime& runtime);
/// Makes config.output with the configuration in it, and has the log of rank 0 (training.log) and
/// reports of collectives that do not end written there. No second job gets the folder while the
/// lock lives, except that jobs of single cells of a sweep share it. Throws as lock_folder() does.
/// Collective.
[[nodiscard]] FolderLock make_output_folder(const Config& config, Runtime& runtime);
/// A file of metrics in the output folder on rank 0; writes nothing on the others.
[[nodiscard]] Metrics open_metrics(const Config& config, const Runtime& runtime,
                                   const std::string& name = "metrics.jsonl");

}  // namespace diffprob::launch

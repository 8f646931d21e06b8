#pragma once

#include <string>

#include "launch/config/config.h"

namespace diffprob::launch {

/// What the command line says of an export of class centres.
struct HeadExport {
  std::string path;    ///< --head: a file, or a folder for forms of many files
  std::string form;    ///< --head-form, or ""
  std::string shards;  ///< --shards, or ""
};

/// Writes the class centres of model.head, or else of the checkpoint folder model.checkpoint,
/// merged or split into --shards files. Throws ConfigError on bad usage, c10::Error and DataError
/// on bad files.
void export_head(const HeadExport& request, const Config& config);

}  // namespace diffprob::launch

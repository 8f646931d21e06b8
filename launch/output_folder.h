#pragma once

#include <string>

#include "launch/config.h"
#include "launch/metrics.h"
#include "launch/runtime.h"

namespace diffprob::launch {

/// Makes config.output with the configuration in it, and has reports of collectives that do not end written there. Collective.
void make_output_folder(const Config& config, Runtime& runtime);
/// A file of metrics in the output folder on rank 0; writes nothing on the others.
[[nodiscard]] Metrics open_metrics(const Config& config, const Runtime& runtime, const std::string& name = "metrics.jsonl");

}  // namespace diffprob::launch

#pragma once

#include "launch/cli/commands.h"

namespace diffprob::launch {

/// `diffprob export --model.checkpoint=DIR_OR_FILE --file=X.onnx|X.pth|X.safetensors
/// [--fold-bn]`, and with
/// --head=OUT the class centres (export_head). Returns the exit code; throws ConfigError on bad
/// usage, c10::Error and DataError on bad files.
[[nodiscard]] int export_command(const CommandLine& line);

}  // namespace diffprob::launch

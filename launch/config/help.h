#pragma once

#include <string>
#include <vector>

namespace diffprob::launch {

/// Sections of the configuration ("data", "train", ...) and the keys that stand in none ("seed",
/// ...), in the order of the schema.
[[nodiscard]] std::vector<std::string> config_sections();

/// Every key of one section, or one key ("train.lr"): default, what it may be, meaning; from the
/// schema (fields.h) alone. Throws ConfigError, which lists the sections, when there is no
/// such section or key.
[[nodiscard]] std::string config_help(const std::string& section_or_key);

}  // namespace diffprob::launch

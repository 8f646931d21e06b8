#pragma once

#include <string>

#include "data/check/check_dataset.h"

namespace diffprob::launch {

/// The report of `diffprob data check` as JSON (data/check/CHECK_FORMAT.md), whole or not at all.
/// Throws data::DataError.
void write_check_report(const std::string& path, const data::CheckReport& report);

/// One line for people: "sample 17, key 18, offset 4216, label 3: damaged JPEG: ...".
[[nodiscard]] std::string describe_finding(const data::Finding& finding);

}  // namespace diffprob::launch

#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/ijb/ijb.h"
#include "eval/metrics/set_report.h"

namespace diffprob::launch {

/// Results as JSON. Shares are 0..1; what does not exist (NaN) is null; "meaningful" is false where
/// target * impostors < 1.
[[nodiscard]] nlohmann::json reports_to_json(const std::vector<eval::SetReport>& reports);
[[nodiscard]] nlohmann::json ijb_to_json(const std::string& folder, const eval::IjbResult& result);

/// The same as tables for people, in %. Entries that a small number of impostors makes meaningless
/// stand in brackets.
[[nodiscard]] std::string verification_table(const std::vector<eval::SetReport>& reports);
[[nodiscard]] std::string ijb_table(const eval::IjbResult& result);

}  // namespace diffprob::launch

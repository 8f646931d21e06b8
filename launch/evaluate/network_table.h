#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/ijb/ijb.h"
#include "eval/metrics/set_report.h"
#include "launch/checkpoint/network_list.h"

namespace diffprob::launch {

/// What one of several networks came to.
struct EvaluatedNetwork {
  NetworkFile file;
  std::optional<std::int64_t> epoch;  ///< epochs done, when it is a checkpoint
  std::vector<eval::SetReport> reports;
  std::vector<eval::IjbResult> ijb;
  std::vector<std::string> ijb_folders;  ///< of `ijb`
  std::string problem;                   ///< why it was skipped, or ""
};

/// Returns the network with the highest mean accuracy over the verification sets, or without sets
/// the one with the highest TAR at FAR 1e-4 on the first IJB set with the first pooling variant. Of
/// equal ones the first; nothing when all were skipped.
[[nodiscard]] std::optional<std::size_t> best_network(
    const std::vector<EvaluatedNetwork>& networks);

/// One row per network: accuracies and TAR in %, the best of each column marked.
[[nodiscard]] std::string network_table(const std::vector<EvaluatedNetwork>& networks);
[[nodiscard]] nlohmann::json networks_json(const std::vector<EvaluatedNetwork>& networks);
/// One row per network. Shares are 0..1; what is unknown is empty.
[[nodiscard]] std::string networks_csv(const std::vector<EvaluatedNetwork>& networks);

}  // namespace diffprob::launch

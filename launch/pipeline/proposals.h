#pragma once

#include <memory>
#include <string>

#include "data/sets/dataset.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "prune/propose.h"

namespace diffprob::launch {

/// Name of the file in the folder of a pruning.
inline constexpr const char* kProposalsFile = "proposals.csv";

/// Throws ConfigError when prune.proposals is set together with what it cannot be had with.
void check_proposals(const Config& config);

/// Writes the proposals of a pruning into its folder and logs how many there are. `dataset` names
/// samples and identities on rank 0; may be null. Collective; throws PruneError on all ranks
/// together.
void write_label_proposals(const std::string& folder, const prune::PruneResult& result,
                           const prune::ProposalSources& sources,
                           const std::shared_ptr<const data::Dataset>& dataset, Runtime& runtime);

}  // namespace diffprob::launch

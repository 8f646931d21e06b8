#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "prune/proposals/proposal.h"

namespace diffprob::prune {

/// Names for people, of a sample and of an identity. Either may be empty.
struct ProposalNames {
  std::function<std::string(std::int64_t)> sample;
  std::function<std::string(std::int64_t)> identity;
};

/// A line of a file of proposals.
struct ProposalLine {
  Proposal proposal;
  std::int64_t line = 0;      ///< from 1; the header is the first
  std::string name;           ///< of the identity, where the file has it
  std::string proposed_name;  ///< likewise
};

/// CSV (prune/tables/SCORES_FORMAT.md), atomic.
void write_proposals(const std::string& path, std::span<const Proposal> proposals,
                     const ProposalNames& names);
/// Reads a file of proposals. Each line must have kind, index, identity and proposed; the other
/// columns are for people and may be missing or empty. Lines may have been deleted or reordered,
/// columns added. Throws PruneError that names the line on
/// anything malformed.
[[nodiscard]] std::vector<ProposalLine> read_proposals(const std::string& path);

}  // namespace diffprob::prune

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "prune/proposals/proposal_file.h"

namespace diffprob::prune {

/// Labels of a data set after proposals.
struct AppliedProposals {
  std::vector<std::int64_t> labels;     ///< [N], dense from 0
  std::vector<std::int64_t> label_map;  ///< [C]: what the samples that no line names have become,
                                        ///< or -1 when there are none
  std::int64_t num_classes = 0;
  std::int64_t relabels = 0;  ///< samples
  std::int64_t merges = 0;    ///< lines
  std::int64_t splits = 0;    ///< identities
  std::int64_t split_samples = 0;
};

/// Applies lines to the labels of a data set. Merged identities are one, over any number of lines;
/// a relabelled sample goes where its proposed identity goes; the samples of a split identity that
/// lines name become one new identity. New labels are in the order of the old ones, those of splits
/// after them. Throws PruneError, naming the lines as `where` has them, on a sample or identity
/// that is not in the set, a sample whose label is not the line's identity, a sample or a merge in
/// two lines, and an identity that is split and merged. Pure.
[[nodiscard]] AppliedProposals apply_proposals(const std::string& where,
                                               std::span<const ProposalLine> lines,
                                               std::span<const std::int64_t> labels,
                                               std::int64_t num_classes);

}  // namespace diffprob::prune

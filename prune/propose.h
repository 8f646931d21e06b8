#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "prune/proposals/proposal.h"
#include "prune/prune.h"

namespace diffprob::prune {

/// Files beside the result of a pruning.
struct ProposalSources {
  std::string scores;      ///< that were pruned: labels
  std::string embeddings;  ///< of the same samples; may be empty
};

struct Proposals {
  std::vector<Proposal> all;  ///< on rank 0, nothing elsewhere: relabels, merges, splits; of each
                              ///< kind the surest first
  std::int64_t relabels = 0;
  std::int64_t merges = 0;
  std::int64_t splits = 0;  ///< identities
  std::string left_out;     ///< what could not be looked for, and why, in one line; or ""
};

/// Limits of proposals. Measured on real faces (prune/README.md).
struct ProposalOptions {
  double merge_agreement = 0.9;    ///< centres of one person agree at least so well
  double merge_confusions = 0.2;   ///< without embeddings: share of the samples of either identity
                                   ///< that is predicted as the other one
  std::int64_t merge_samples = 3;  ///< fewest of either identity
  double split_agreement = 0.3;    ///< centres of two persons agree at most so well
  std::int64_t split_samples = 6;  ///< fewest of either group
};

/// Proposals of a pruning with cleaning. The same for any number of ranks.
/// - relabel: samples that the rule of cleaning finds and whose most probable class is confident
///   (confident learning's threshold), to that class.
/// - merge: pairs of identities that samples are mistaken for, whose centres agree; without
///   embeddings, whose samples are mistaken for the other one both ways.
/// - split: identities whose samples fall into two groups whose centres do not agree; needs
///   embeddings.
/// Collective; throws PruneError on all ranks together.
[[nodiscard]] Proposals propose(const PruneResult& result, const ProposalSources& sources,
                                dist::HostCollectives& collectives,
                                const ProposalOptions& options = {});

}  // namespace diffprob::prune

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dist/mpi/host_collectives.h"
#include "eval/ijb/meta.h"

namespace diffprob::eval {

struct TpirAtFpir {
  double fpir_target = 0;
  /// Open set, as the protocol defines it: FPIR is the share of probes without a mate whose highest
  /// score passes the threshold; TPIR the share of probes with a mate whose mate passes. Highest
  /// TPIR with FPIR <= target. NaN without probes of both kinds.
  double open_set = 0;
  /// As InsightFace's IJB_1N script: probes with a mate alone; the threshold is the ceil(target *
  /// probes)-th highest of all scores with templates of other subjects; TPIR is the share of mates
  /// strictly above it.
  double closed_set = 0;
};

/// 1:N identification against one gallery. A mate that ties with others wins.
struct IdentificationResult {
  std::string gallery;  ///< file name, or "all" for the galleries together
  std::int64_t gallery_templates = 0;
  std::int64_t mated_probes = 0;
  std::int64_t other_probes = 0;  ///< without a mate in this gallery
  double rank1 = 0;               ///< share of mated probes whose mate is the best
  double rank5 = 0;               ///< among the best five
  double rank10 = 0;
  std::vector<TpirAtFpir> tpir;  ///< at 0.01 and 0.1
};

/// One result a gallery, and one for all of them together when there are several. templates: [T,
/// dim] float64, the same on all ranks. Ranks share the probes; results are the same on all ranks
/// and for any number of them. Collective.
[[nodiscard]] std::vector<IdentificationResult> identify(std::span<const double> templates,
                                                         std::int64_t dim,
                                                         const std::vector<SubjectList>& galleries,
                                                         const SubjectList& probes,
                                                         dist::HostCollectives& control);

}  // namespace diffprob::eval

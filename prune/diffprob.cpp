#include "prune/diffprob.h"

#include <string>

#include "prune/error.h"
#include "prune/sorted_identities.h"

namespace diffprob::prune {
namespace {

void check_sizes(std::size_t scores, const IdentityGroups& groups, std::size_t reasons) {
  if (scores == groups.order.size() && reasons == groups.order.size()) return;
  throw PruneError("diffprob: " + std::to_string(scores) + " scores and " + std::to_string(reasons) + " reasons for " +
                   std::to_string(groups.order.size()) + " labelled samples, expected the same number of each");
}

}  // namespace

void select_diffprob(std::span<const float> nll, std::span<const float> probability, const IdentityGroups& groups, IdentityRange range,
                     const DiffProbOptions& options, std::span<Reason> reasons) {
  check(options);
  const bool reference = options.preset == Preset::kReference;
  check_sizes(reference ? probability.size() : nll.size(), groups, reasons.size());
  const SortedIdentities sorted(groups, range, reasons, options.preset, [&](std::uint32_t sample) {
    return reference ? score_from_probability(probability[sample], sample) : score_from_nll(nll[sample], sample);
  });
  sorted.select(options, reasons);
}

}  // namespace diffprob::prune

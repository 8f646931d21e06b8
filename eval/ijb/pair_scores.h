#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/ijb/meta.h"

namespace diffprob::eval {

/// Dot product of each pair of templates, in the order of the pairs. [P] float64
/// templates: [T, dim] float64, rows L2-normalised (or zeros). A product of blocks of templates of
/// which only the listed pairs are made (of all pairs of IJB-C's galleries and probes a quarter is
/// listed): pairs are taken block by block of their second template, which then stays in the cache.
/// Uses ATen's threads; a score has the same bits for any number of threads and any set of pairs
/// around it. Memory beside the result: 8 bytes a pair.
[[nodiscard]] std::vector<double> pair_scores(std::span<const double> templates, std::int64_t dim,
                                              const TemplatePairs& pairs);

}  // namespace diffprob::eval

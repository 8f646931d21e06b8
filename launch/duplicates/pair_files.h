#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "launch/duplicates/find_pairs.h"
#include "prune/select/selection.h"

namespace diffprob::launch {

/// Samples to drop so that each group of connected pairs keeps its first sample; increasing.
/// `pairs` lie inside one set of `size` samples.
[[nodiscard]] std::vector<std::int64_t> all_but_first(const std::vector<ImagePair>& pairs,
                                                      std::int64_t size);

/// duplicates.csv: one line per pair with kind (near: one identity, across: two), similarity,
/// distance, and index, identity and name of both samples. Throws DataError that names the file.
void write_duplicate_pairs(const std::string& path, const std::vector<ImagePair>& pairs,
                           const data::Dataset& dataset);
/// leaks.csv: similarity, distance, index, identity and name of the training sample, and the name
/// of the test image.
void write_leak_pairs(const std::string& path, const std::vector<ImagePair>& pairs,
                      const data::Dataset& dataset,
                      const std::function<std::string(std::int64_t)>& describe_test);

/// Samples that a command drops, increasing, and why.
struct Dropped {
  std::vector<std::int64_t> samples;
  prune::Reason reason = prune::Reason::kDuplicate;
};
/// Writes the index set of the samples that are in no list; a sample in several has the reason of
/// the first. With data.kept it has the numbers of the whole set as well. Returns how many samples
/// it keeps. Throws DataError when it would keep none.
std::int64_t write_rest(const std::string& path, const std::vector<Dropped>& lists,
                        const std::string& method, double threshold, const data::Dataset& dataset);

}  // namespace diffprob::launch

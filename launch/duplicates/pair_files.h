#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "eval/neighbours/pairs.h"
#include "launch/duplicates/find_pairs.h"
#include "prune/select/selection.h"

namespace diffprob::launch {

/// A pair that was found by pixels, by embedding, or by both.
struct FoundPair {
  std::int64_t a = 0;
  std::int64_t b = 0;
  std::int32_t distance = 0;  ///< as similarity, of ImagePair; with by_pixels
  float similarity = 0;
  float cosine = 0;  ///< of the embeddings, with by_embedding
  bool by_pixels = false;
  bool by_embedding = false;
};
/// Joins pairs of both kinds, which are sorted by a, then b; so is the result.
[[nodiscard]] std::vector<FoundPair> found_pairs(
    const std::vector<ImagePair>& by_pixels, const std::vector<eval::NeighbourPair>& by_embedding);

/// Samples to drop so that each group of connected pairs keeps its first sample; increasing.
/// `pairs` lie inside one set of `size` samples.
[[nodiscard]] std::vector<std::int64_t> all_but_first(const std::vector<FoundPair>& pairs,
                                                      std::int64_t size);

/// duplicates.csv: one line per pair with kind (near: one identity, across: two), by (pixels,
/// embedding, both), similarity, distance, cosine, and index, identity and name of both samples.
/// Throws DataError that names the file.
void write_duplicate_pairs(const std::string& path, const std::vector<FoundPair>& pairs,
                           const data::Dataset& dataset);
/// leaks.csv: by, similarity, distance, cosine, index, identity and name of the training sample,
/// and the name of the test image.
void write_leak_pairs(const std::string& path, const std::vector<FoundPair>& pairs,
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

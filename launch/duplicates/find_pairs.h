#pragma once

#include <cstdint>
#include <vector>

#include "launch/duplicates/hashed_images.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Two images that show one photograph.
struct ImagePair {
  std::int64_t a = 0;
  std::int64_t b = 0;
  std::int32_t distance = 0;  ///< of the hashes, in bits
  float similarity = 0;       ///< of the pixels, up to 1
};

struct PairSearch {
  int threads = 1;
  /// Pairs that are less alike are dropped. Copies that were compressed, mirrored, cropped by 4
  /// pixels or made brighter or darker by a fifth have more than 0.9; other photographs of a person
  /// in LFW have less.
  double least_similarity = 0.9;
  /// Hashes that are searched at once, on every rank: 41 bytes each.
  std::int64_t block = 8'388'608;
};

/// Pairs inside one set, a < b, sorted, on rank 0; empty on the others. Of several images with the
/// same hash each is compared with the first of its block, not with all. Collective.
[[nodiscard]] std::vector<ImagePair> find_pairs(const ImageSource& source,
                                                const HashedImages& images,
                                                const PairSearch& options, Runtime& runtime);
/// Pairs of an image `a` of one set and an image `b` of another, sorted, on rank 0; all of them,
/// also where hashes are equal. Collective.
[[nodiscard]] std::vector<ImagePair> find_pairs_between(
    const ImageSource& source_a, const HashedImages& images_a, const ImageSource& source_b,
    const HashedImages& images_b, const PairSearch& options, Runtime& runtime);

}  // namespace diffprob::launch

#pragma once

#include <cstdint>
#include <vector>

#include "data/check/finding.h"
#include "data/check/image_check.h"
#include "data/sets/dataset.h"

namespace diffprob::data {

/// 24 bytes a sample.
struct DigestedImage {
  ImageDigest digest;
  std::int64_t sample;
};

/// Finds byte-identical images and appends a finding for each sample that is to go. Copies inside
/// one identity: all but the first (kDuplicate). Copies under two or more labels: every one, the
/// first too (kConflict), because at most one label is right and the bytes do not say which.
/// `images` is sorted on the way; `labels` gives their labels.
void find_duplicates(std::vector<DigestedImage>& images, const Dataset& labels,
                     std::vector<Finding>& findings);

}  // namespace diffprob::data

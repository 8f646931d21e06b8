#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "data/sets/dataset.h"

namespace diffprob::data {

/// Name of an image of a verification set: "lfw image 7 (pair 3)".
[[nodiscard]] std::string describe_verification_image(const std::string& set, std::int64_t image);

/// The images of a .bin in its order, 2 per pair, in memory. Their people are not known, so each
/// image is a class of its own: for embeddings and comparisons, not for training. The fingerprint
/// is that of their bytes. Throws DataError.
[[nodiscard]] std::shared_ptr<const Dataset> open_verification_images(const std::string& path);

}  // namespace diffprob::data

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/duplicates/image_hash.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// Images by number, the same on every rank. All functions are called from several
/// threads.
struct ImageSource {
  std::string name;  ///< for progress: "images", "test images"
  std::int64_t size = 0;
  /// Throws DataError on an image that cannot be read.
  std::function<void(std::int64_t index, std::vector<std::byte>& bytes)> read;
  /// Instead of read, for images that have to be aligned first: returns false for an image that
  /// read gives encoded, else RGB bytes [112, 112, 3]. May be empty. Throws DataError likewise.
  std::function<bool(std::int64_t index, std::vector<std::uint8_t>& rgb)> read_aligned{};
};

/// Images [first, first + views.size()) of a source: the share of one rank.
struct HashedImages {
  std::int64_t total = 0;
  std::int64_t first = 0;
  std::vector<data::ViewHashes> views;
  std::vector<std::uint8_t> valid;  ///< 0: unreadable, or nearly of one colour
  // Over all ranks.
  std::vector<std::int64_t> unreadable;  ///< increasing
  std::string first_error;               ///< of the lowest one
  std::int64_t flat = 0;                 ///< nearly of one colour: they are never matched
};

/// First image of a rank's share; that of rank world_size is the end.
[[nodiscard]] std::int64_t first_of_share(std::int64_t total, int rank, int world_size);

/// Decodes and hashes all images, each rank its share on `threads` threads. Images that cannot be
/// read or decoded are listed. Memory: 177 bytes per image of the share. Collective.
[[nodiscard]] HashedImages hash_images(const ImageSource& source, int threads, Runtime& runtime);

}  // namespace diffprob::launch

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "data/duplicates/image_hash.h"

namespace diffprob::data {

/// Largest distance of hashes that a HashIndex finds.
inline constexpr int kHashRadius = 11;

/// A query and a hash within kHashRadius of it.
struct HashMatch {
  std::uint32_t query = 0;  ///< place of the query
  std::uint32_t found = 0;  ///< place in the index
  std::int32_t distance = 0;
  [[nodiscard]] friend auto operator<=>(const HashMatch&, const HashMatch&) = default;
};

/// Finds hashes within kHashRadius of others, exactly, without comparing all pairs.
///
/// The 128 bits are cut into 6 bands of 21 or 22 bits. Two hashes within a distance of 11 differ in
/// at most one bit of some band, so it is enough to look up each band of a query and its neighbours
/// at one bit: 134 buckets, with N / 2^21 hashes each on average. Equal hashes are held once, so
/// that a thousand copies of one image cost a thousand matches, not a million.
///
/// Memory per hash: 24 bytes and the caller's 16; 32 MiB more. One band at a time is prepared.
class HashIndex {
 public:
  static constexpr int kBands = 6;

  /// `hashes` must outlive the index. `valid`: which of them count, or empty for all. Throws
  /// DataError on more than 2^32 - 1 hashes, or when `valid` has another size.
  HashIndex(std::span<const ImageHash> hashes, std::span<const std::uint8_t> valid);

  /// Matches of equal hashes: each but the first of its kind with the first, distance 0.
  [[nodiscard]] std::vector<HashMatch> equal_hashes() const;

  /// Prepares a band, from 0 to kBands - 1.
  void prepare(int band);
  /// Appends the matches of a query, over the distinct hashes, that the prepared band is the first
  /// to show: over all bands each match comes once. `query` is noted in them. Thread-safe.
  void find(const ImageHash& hash, std::uint32_t query, std::vector<HashMatch>& out) const;

 private:
  std::span<const ImageHash> hashes_;
  std::vector<std::uint32_t> distinct_;  ///< first of each kind
  std::vector<HashMatch> equal_;
  int band_ = 0;
  std::vector<std::uint32_t> begin_;  ///< [buckets + 1]
  std::vector<std::uint32_t> order_;  ///< places in hashes_, by bucket
  /// Hashes in that order: a bucket that is read from end to end does not wait for memory.
  std::vector<ImageHash> ordered_;
};

/// Appends the matches of all views of each image, and of their mirror images, that the prepared
/// band is the first to show; a pair may come several times. `valid`: which queries count, or empty
/// for all. Query k of `queries` is noted as first + k.
void search_band(const HashIndex& index, std::span<const ViewHashes> queries,
                 std::span<const std::uint8_t> valid, std::uint32_t first, int threads,
                 std::vector<HashMatch>& out);
/// Sorts matches and keeps the least distance of each (query, found).
void keep_nearest(std::vector<HashMatch>& matches);

/// For images with several views: matches of all views of each image and of their mirror images
/// against the index, each (query, found) once with its least distance, sorted. `valid`: which
/// queries count, or empty for all. Query k of `queries` is noted as k. Deterministic.
[[nodiscard]] std::vector<HashMatch> search_views(HashIndex& index,
                                                  std::span<const ViewHashes> queries,
                                                  std::span<const std::uint8_t> valid, int threads);

}  // namespace diffprob::data

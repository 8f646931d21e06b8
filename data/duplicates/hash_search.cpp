#include "data/duplicates/hash_search.h"

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>

#include "data/error.h"
#include "data/files/worker_threads.h"

namespace diffprob::data {
namespace {

struct Band {
  int begin;
  int bits;
};
constexpr std::array<Band, HashIndex::kBands> kBandsOfHash = {
    {{0, 21}, {21, 21}, {42, 21}, {63, 21}, {84, 22}, {106, 22}}};
static_assert(2 * HashIndex::kBands - 1 >= kHashRadius);

/// Queries that a thread takes at once.
constexpr std::int64_t kPiece = 256;

std::uint32_t key_of(const ImageHash& hash, const Band& band) {
  const auto word = static_cast<std::size_t>(band.begin / 64);
  const int shift = band.begin % 64;
  std::uint64_t bits = hash[word] >> shift;
  if (shift + band.bits > 64) bits |= hash[word + 1] << (64 - shift);
  return static_cast<std::uint32_t>(bits & ((std::uint64_t{1} << band.bits) - 1));
}

/// Returns true if an earlier band shows the match.
bool shown_before(const ImageHash& a, const ImageHash& b, int band) {
  for (int earlier = 0; earlier < band; ++earlier) {
    const Band& of = kBandsOfHash[static_cast<std::size_t>(earlier)];
    if (std::popcount(key_of(a, of) ^ key_of(b, of)) <= 1) return true;
  }
  return false;
}

void check_size(std::size_t hashes, std::size_t valid) {
  if (hashes >= std::numeric_limits<std::uint32_t>::max())
    throw DataError("search of duplicates: " + std::to_string(hashes) +
                    " hashes at once, expected fewer than 2^32 - 1");
  if (valid != 0 && valid != hashes)
    throw DataError("search of duplicates: " + std::to_string(valid) + " marks for " +
                    std::to_string(hashes) + " hashes");
}

}  // namespace

HashIndex::HashIndex(std::span<const ImageHash> hashes, std::span<const std::uint8_t> valid)
    : hashes_(hashes) {
  check_size(hashes.size(), valid.size());
  for (std::size_t i = 0; i < hashes.size(); ++i)
    if (valid.empty() || valid[i] != 0) distinct_.push_back(static_cast<std::uint32_t>(i));
  std::ranges::sort(distinct_, {}, [&](std::uint32_t i) { return std::tuple(hashes_[i], i); });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < distinct_.size(); ++i) {
    const std::uint32_t place = distinct_[i];
    if (kept > 0 && hashes_[distinct_[kept - 1]] == hashes_[place])
      equal_.push_back({place, distinct_[kept - 1], 0});
    else
      distinct_[kept++] = place;
  }
  distinct_.resize(kept);
  std::ranges::sort(distinct_);
  std::ranges::sort(equal_);
}

std::vector<HashMatch> HashIndex::equal_hashes() const {
  return equal_;
}

void HashIndex::prepare(int band) {
  band_ = band;
  const Band& bits = kBandsOfHash.at(static_cast<std::size_t>(band));
  begin_.assign((std::size_t{1} << bits.bits) + 1, 0);
  for (const std::uint32_t place : distinct_) ++begin_[key_of(hashes_[place], bits) + 1];
  for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
  order_.resize(distinct_.size());
  std::vector<std::uint32_t> next(begin_.begin(), begin_.end() - 1);
  for (const std::uint32_t place : distinct_) order_[next[key_of(hashes_[place], bits)]++] = place;
  ordered_.clear();
  for (const std::uint32_t place : order_) ordered_.push_back(hashes_[place]);
}

void HashIndex::find(const ImageHash& hash, std::uint32_t query,
                     std::vector<HashMatch>& out) const {
  const Band& band = kBandsOfHash[static_cast<std::size_t>(band_)];
  const std::uint32_t key = key_of(hash, band);
  // All buckets are asked for before the first is read: each lies elsewhere in memory.
  std::array<std::uint32_t, 1 + 22> buckets;
  std::size_t count = 0;
  buckets[count++] = key;
  for (int bit = 0; bit < band.bits; ++bit) buckets[count++] = key ^ (std::uint32_t{1} << bit);
  for (std::size_t i = 0; i < count; ++i) __builtin_prefetch(&begin_[buckets[i]]);
  for (std::size_t i = 0; i < count; ++i) __builtin_prefetch(ordered_.data() + begin_[buckets[i]]);
  for (std::size_t i = 0; i < count; ++i)
    for (std::uint32_t at = begin_[buckets[i]]; at < begin_[buckets[i] + 1]; ++at) {
      const int distance = hash_distance(hash, ordered_[at]);
      if (distance <= kHashRadius && !shown_before(hash, ordered_[at], band_))
        out.push_back({query, order_[at], distance});
    }
}

void keep_nearest(std::vector<HashMatch>& matches) {
  std::ranges::sort(matches);
  const auto rest = std::ranges::unique(matches, [](const HashMatch& a, const HashMatch& b) {
    return a.query == b.query && a.found == b.found;
  });
  matches.erase(rest.begin(), rest.end());
}

void search_band(const HashIndex& index, std::span<const ViewHashes> queries,
                 std::span<const std::uint8_t> valid, std::uint32_t first, int threads,
                 std::vector<HashMatch>& out) {
  check_size(queries.size(), valid.size());
  const auto count = static_cast<std::int64_t>(queries.size());
  std::vector<std::vector<HashMatch>> of_thread(static_cast<std::size_t>(std::max(1, threads)));
  parallel_for(0, (count + kPiece - 1) / kPiece, threads, [&](std::int64_t piece, int worker) {
    auto& found = of_thread[static_cast<std::size_t>(worker)];
    for (std::int64_t q = piece * kPiece; q < std::min(count, (piece + 1) * kPiece); ++q) {
      const auto at = static_cast<std::size_t>(q);
      if (!valid.empty() && valid[at] == 0) continue;
      for (const ImageHash& hash : queries[at]) {
        index.find(hash, first + static_cast<std::uint32_t>(q), found);
        index.find(mirrored(hash), first + static_cast<std::uint32_t>(q), found);
      }
    }
  });
  for (const auto& found : of_thread) out.insert(out.end(), found.begin(), found.end());
}

std::vector<HashMatch> search_views(HashIndex& index, std::span<const ViewHashes> queries,
                                    std::span<const std::uint8_t> valid, int threads) {
  std::vector<HashMatch> matches;
  for (int band = 0; band < HashIndex::kBands; ++band) {
    index.prepare(band);
    search_band(index, queries, valid, 0, threads, matches);
    keep_nearest(matches);
  }
  return matches;
}

}  // namespace diffprob::data

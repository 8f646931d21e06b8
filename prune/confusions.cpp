#include "prune/confusions.h"

#include <algorithm>

#include "data/random/splitmix64.h"

namespace diffprob::prune {
namespace {

void keep_most_frequent(std::vector<Confusion>& confusions, std::size_t listed) {
  std::sort(confusions.begin(), confusions.end(), [](const Confusion& a, const Confusion& b) {
    if (a.samples != b.samples) return a.samples > b.samples;
    return a.label != b.label ? a.label < b.label : a.top1 < b.top1;
  });
  confusions.resize(std::min(confusions.size(), listed));
}

/// Pairs to the rank that counts them, any rule that is the same everywhere.
std::vector<std::uint64_t> to_counting_rank(const std::vector<std::uint64_t>& pairs,
                                            dist::HostCollectives& collectives) {
  const auto ranks = static_cast<std::uint64_t>(collectives.world_size());
  std::vector<std::int64_t> counts(ranks, 0);
  for (const std::uint64_t pair : pairs) ++counts[data::splitmix64(pair) % ranks];
  std::vector<std::size_t> next(ranks, 0);
  for (std::size_t r = 1; r < ranks; ++r)
    next[r] = next[r - 1] + static_cast<std::size_t>(counts[r - 1]);
  std::vector<std::uint64_t> grouped(pairs.size());
  for (const std::uint64_t pair : pairs) grouped[next[data::splitmix64(pair) % ranks]++] = pair;
  return collectives.all_to_all_v(std::span<const std::uint64_t>(grouped), counts);
}

}  // namespace

std::vector<Confusion> most_frequent_confusions(std::vector<std::uint64_t> pairs,
                                                std::size_t listed,
                                                dist::HostCollectives& collectives) {
  pairs = to_counting_rank(pairs, collectives);
  std::sort(pairs.begin(), pairs.end());
  std::vector<Confusion> own;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (i == 0 || pairs[i] != pairs[i - 1]) {
      own.push_back({static_cast<std::int32_t>(pairs[i] >> 32U),
                     static_cast<std::int32_t>(pairs[i] & 0xFFFFFFFFU), 0});
    }
    ++own.back().samples;
  }
  keep_most_frequent(own, listed);
  auto all = collectives.all_gather_v(std::span<const Confusion>(own));
  keep_most_frequent(all, listed);
  return all;
}

}  // namespace diffprob::prune

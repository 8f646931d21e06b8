#include "prune/score_table.h"

#include <algorithm>

#include "prune/error.h"

namespace diffprob::prune {
namespace {

constexpr std::int64_t kUnseen = -1;

/// Rank that holds row `position` of records gathered in rank order.
std::size_t rank_of(std::int64_t position, const std::vector<std::int64_t>& counts) {
  std::size_t rank = 0;
  while (position >= counts[rank]) position -= counts[rank++];
  return rank;
}

void check_same_size(std::int64_t num_samples, dist::HostCollectives& collectives) {
  const auto sizes = collectives.all_gather(num_samples);
  for (std::size_t rank = 0; rank < sizes.size(); ++rank) {
    if (sizes[rank] == sizes[0] && sizes[rank] >= 0 && sizes[rank] <= std::int64_t{1} << 32) continue;
    throw PruneError("scores: rank " + std::to_string(rank) + " expects " + std::to_string(sizes[rank]) + " samples, rank 0 " +
                     std::to_string(sizes[0]) + "; expected the same number everywhere, 0 to 2^32");
  }
}

/// Position of each sample's record in `all`: [num_samples], every one seen exactly once or PruneError.
std::vector<std::int64_t> positions_of(const std::vector<ScoreRecord>& all, const std::vector<std::int64_t>& counts,
                                       std::int64_t num_samples) {
  std::vector<std::int64_t> position(static_cast<std::size_t>(num_samples), kUnseen);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::uint32_t index = all[i].index;
    const auto at = static_cast<std::int64_t>(i);
    if (index >= num_samples) {
      throw PruneError("scores: rank " + std::to_string(rank_of(at, counts)) + " scored sample " + std::to_string(index) +
                       ", expected 0 to " + std::to_string(num_samples - 1));
    }
    if (position[index] != kUnseen) {
      throw PruneError("scores: sample " + std::to_string(index) + " was scored twice, by rank " +
                       std::to_string(rank_of(position[index], counts)) + " and by rank " + std::to_string(rank_of(at, counts)));
    }
    position[index] = at;
  }
  const auto holes = std::count(position.begin(), position.end(), kUnseen);
  if (holes > 0) {
    const auto first = std::find(position.begin(), position.end(), kUnseen) - position.begin();
    throw PruneError("scores: " + std::to_string(holes) + " of " + std::to_string(num_samples) +
                     " samples were not scored, the first is sample " + std::to_string(first));
  }
  return position;
}

}  // namespace

std::vector<ScoreRecord> all_gather_records(std::span<const ScoreRecord> own, std::int64_t num_samples,
                                            dist::HostCollectives& collectives) {
  check_same_size(num_samples, collectives);
  std::vector<std::int64_t> counts;
  const auto all = collectives.all_gather_v(own, &counts);
  // Every rank holds the same records now: what one finds wrong all find wrong.
  const auto position = positions_of(all, counts, num_samples);
  std::vector<ScoreRecord> table(position.size());
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = all[static_cast<std::size_t>(position[i])];
  return table;
}

}  // namespace diffprob::prune

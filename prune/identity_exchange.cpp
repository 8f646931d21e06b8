#include "prune/identity_exchange.h"

#include <algorithm>

#include "prune/cleaning/class_issues.h"

namespace diffprob::prune {
namespace {

std::vector<std::size_t> starts_of(std::span<const std::int64_t> counts) {
  std::vector<std::size_t> starts(counts.size(), 0);
  for (std::size_t r = 1; r < starts.size(); ++r)
    starts[r] = starts[r - 1] + static_cast<std::size_t>(counts[r - 1]);
  return starts;
}

}  // namespace

IdentityExchange::IdentityExchange(const IdentityCounts& counts, const RowBlocks& blocks,
                                   dist::HostCollectives& collectives)
    : collectives_(collectives) {
  std::vector<std::int64_t> before(static_cast<std::size_t>(counts.num_classes()) + 1, 0);
  for (std::int64_t c = 0; c < counts.num_classes(); ++c) {
    before[static_cast<std::size_t>(c) + 1] =
        before[static_cast<std::size_t>(c)] + counts.usable(c);
  }
  for (int rank = 1; rank < collectives.world_size(); ++rank) {
    bounds_.push_back(identities_of_rank(before, rank, collectives.world_size()).first);
  }
  range_ = identities_of_rank(before, collectives.rank(), collectives.world_size());
  for (std::int64_t c = range_.first; c <= range_.last; ++c) {
    begin_.push_back(before[static_cast<std::size_t>(c)] -
                     before[static_cast<std::size_t>(range_.first)]);
  }
  next_.assign(begin_.begin(), begin_.end() - 1);
  arrivals_.reserve(static_cast<std::size_t>(begin_.back()));
  arrival_counts_.reserve(static_cast<std::size_t>(blocks.rounds() * collectives.world_size()));
}

std::size_t IdentityExchange::owner_of(std::int32_t label) const {
  return static_cast<std::size_t>(std::upper_bound(bounds_.begin(), bounds_.end(), label) -
                                  bounds_.begin());
}

template <class Key>
void IdentityExchange::send(std::span<const std::int32_t> labels, std::span<const Key> keys,
                            std::span<const Reason> reasons, std::vector<Key>& arrived) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(collectives_.world_size()), 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (is_kept(reasons[i])) ++counts[owner_of(labels[i])];
  }
  auto to = starts_of(counts);
  std::vector<std::int32_t> sent_labels(to.back() + static_cast<std::size_t>(counts.back()));
  std::vector<Key> sent_keys(keys.empty() ? 0 : sent_labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!is_kept(reasons[i])) continue;
    const std::size_t place = to[owner_of(labels[i])]++;
    sent_labels[place] = labels[i];
    if (!keys.empty()) sent_keys[place] = keys[i];
  }
  std::vector<std::int64_t> from;
  const auto got_labels =
      collectives_.all_to_all_v(std::span<const std::int32_t>(sent_labels), counts, &from);
  arrival_counts_.insert(arrival_counts_.end(), from.begin(), from.end());
  if (keys.empty()) std::fill(counts.begin(), counts.end(), 0);
  const auto got_keys = collectives_.all_to_all_v(std::span<const Key>(sent_keys), counts);
  for (std::size_t i = 0; i < got_labels.size(); ++i) {
    const auto c = static_cast<std::int32_t>(got_labels[i] - range_.first);
    const auto slot = static_cast<std::size_t>(next_[static_cast<std::size_t>(c)]++);
    arrivals_.push_back(c);
    if (!got_keys.empty()) arrived[slot] = got_keys[i];
  }
}

template void IdentityExchange::send(std::span<const std::int32_t>, std::span<const float>,
                                     std::span<const Reason>, std::vector<float>&);
template void IdentityExchange::send(std::span<const std::int32_t>, std::span<const double>,
                                     std::span<const Reason>, std::vector<double>&);
template void IdentityExchange::send(std::span<const std::int32_t>, std::span<const ClassSample>,
                                     std::span<const Reason>, std::vector<ClassSample>&);

void IdentityExchange::send_back(std::span<const Reason> of_slots,
                                 std::span<const std::int32_t> labels, std::span<Reason> of_rows) {
  const auto ranks = static_cast<std::size_t>(collectives_.world_size());
  std::vector<std::int64_t> counts(ranks, 0);
  for (std::size_t k = 0; k < arrival_counts_.size(); ++k) counts[k % ranks] += arrival_counts_[k];
  auto to = starts_of(counts);
  std::vector<Reason> sent(arrivals_.size());
  std::copy(begin_.begin(), begin_.end() - 1, next_.begin());
  std::size_t arrival = 0;
  for (std::size_t k = 0; k < arrival_counts_.size(); ++k) {
    std::size_t& place = to[k % ranks];
    for (std::int64_t n = arrival_counts_[k]; n > 0; --n) {
      sent[place++] = of_slots[static_cast<std::size_t>(
          next_[static_cast<std::size_t>(arrivals_[arrival++])]++)];
    }
  }
  std::vector<std::int64_t> from;
  const auto got = collectives_.all_to_all_v(std::span<const Reason>(sent), counts, &from);
  auto next = starts_of(from);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (is_kept(of_rows[i])) of_rows[i] = got[next[owner_of(labels[i])]++];
  }
}

}  // namespace diffprob::prune

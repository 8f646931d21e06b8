#include "prune/fairness.h"

#include <algorithm>
#include <span>

namespace diffprob::prune {
namespace {

void add_to(FairnessGroup& group, const FairnessGroup& more) {
  group.identities += more.identities;
  group.samples += more.samples;
  group.usable += more.usable;
  group.kept += more.kept;
}

template <std::size_t kGroups>
void sum_groups(std::array<FairnessGroup, kGroups>& groups, dist::HostCollectives& collectives) {
  std::vector<std::int64_t> numbers;
  for (const FairnessGroup& g : groups)
    numbers.insert(numbers.end(), {g.identities, g.samples, g.usable, g.kept});
  collectives.all_reduce(std::span<std::int64_t>(numbers), dist::ReduceOp::kSum);
  for (std::size_t i = 0; i < kGroups; ++i)
    groups[i] = {numbers[4 * i], numbers[4 * i + 1], numbers[4 * i + 2], numbers[4 * i + 3]};
}

}  // namespace

void Fairness::add(std::int64_t before, std::int64_t usable, std::int64_t kept) {
  if (before == 0) return;
  const FairnessGroup one = {1, before, usable, kept};
  const auto size = std::upper_bound(kSizes.begin(), kSizes.end(), before) - kSizes.begin() - 1;
  std::size_t mislabelled = 0;
  for (std::size_t i = 1; i < kMislabelled.size(); ++i)
    if (100 * (before - usable) > kMislabelled[i] * before) mislabelled = i;
  add_to(by_size[static_cast<std::size_t>(size)], one);
  add_to(by_mislabelled[mislabelled], one);
  add_to(all, one);
}

void Fairness::sum(dist::HostCollectives& collectives) {
  sum_groups(by_size, collectives);
  sum_groups(by_mislabelled, collectives);
  std::array<FairnessGroup, 1> whole = {all};
  sum_groups(whole, collectives);
  all = whole[0];
}

FairnessGroup Fairness::smaller_than(std::int64_t size) const {
  FairnessGroup found;
  for (std::size_t i = 0; i < kSizes.size() && kSizes[i] < size; ++i) add_to(found, by_size[i]);
  return found;
}

Fairness fairness_of(const IdentityCounts& counts, std::int64_t first,
                     const std::vector<std::int32_t>& kept, dist::HostCollectives& collectives) {
  Fairness fairness;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const std::int64_t c = first + static_cast<std::int64_t>(i);
    fairness.add(counts.before(c), counts.usable(c), kept[i]);
  }
  fairness.sum(collectives);
  return fairness;
}

}  // namespace diffprob::prune

// Seconds of each step of pruning on one rank, random scores: prune_bench SAMPLES IDENTITIES [REPEATS]. Prints JSON; the best of the
// repeats.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "prune/sorted_identities.h"
#include "prune/threshold_search.h"

namespace {

using diffprob::prune::IdentityGroups;
using diffprob::prune::Preset;
using diffprob::prune::Reason;
using diffprob::prune::SortedIdentities;

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// xorshift64: cheap enough not to dominate the making of tens of millions of samples.
std::uint64_t draw(std::uint64_t& state) {
  state ^= state << 13U;
  state ^= state >> 7U;
  state ^= state << 17U;
  return state;
}

struct Seconds {
  double group = 1e300, sort = 1e300, threshold = 1e300, search = 1e300;
};

struct Scores {
  std::vector<std::int32_t> labels;
  std::vector<float> nll;
};

/// Samples of an identity lie together, as in record files.
Scores random_scores(std::int64_t samples, std::int64_t identities) {
  Scores scores;
  std::uint64_t state = 88172645463325252U;
  for (std::int64_t i = 0; i < samples; ++i) {
    scores.labels.push_back(static_cast<std::int32_t>(draw(state) % static_cast<std::uint64_t>(identities)));
    scores.nll.push_back(static_cast<float>(draw(state) >> 40U) * 0x1p-24F);
  }
  std::sort(scores.labels.begin(), scores.labels.end());
  return scores;
}

std::size_t measure(const Scores& scores, std::int64_t identities, Seconds& best) {
  std::vector<IdentityGroups> groups;
  best.group = std::min(best.group, seconds([&] { groups.emplace_back(scores.labels, identities); }));
  const std::vector<Reason> reasons(scores.labels.size(), Reason::kKept);
  std::vector<SortedIdentities> sorted;
  best.sort = std::min(best.sort, seconds([&] {
                         sorted.emplace_back(groups[0], diffprob::prune::IdentityRange{0, identities}, reasons, Preset::kDefault,
                                             [&](std::uint32_t i) { return diffprob::prune::score_from_nll(scores.nll[i], i); });
                       }));
  const auto count = [&](double t) { return sorted[0].count_kept({t, 5, Preset::kDefault}); };
  std::int64_t kept = 0;
  best.threshold = std::min(best.threshold, seconds([&] { kept = count(0.01); }));
  std::size_t evaluations = 0;
  best.search = std::min(best.search, seconds([&] {
                           evaluations = diffprob::prune::search_threshold(sorted[0].usable() / 2, sorted[0].usable(), count).curve.size();
                         }));
  return kept > 0 ? evaluations : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t samples = argc > 1 ? std::atoll(argv[1]) : 0;
  const std::int64_t identities = argc > 2 ? std::atoll(argv[2]) : 0;
  const int repeats = argc > 3 ? std::atoi(argv[3]) : 1;
  if (samples < 1 || identities < 1 || identities > INT32_MAX || repeats < 1) {
    std::fprintf(stderr, "usage: prune_bench SAMPLES IDENTITIES [REPEATS]\n");
    return 2;
  }
  const Scores scores = random_scores(samples, identities);
  Seconds best;
  std::size_t evaluations = 0;
  for (int i = 0; i < repeats; ++i) evaluations = measure(scores, identities, best);
  std::printf(
      "{\"samples\": %lld, \"identities\": %lld, \"world_size\": 1, \"device\": \"cpu\", \"repeats\": %d,\n"
      " \"group_s\": %.4f, \"score_and_sort_s\": %.4f, \"threshold_s\": %.4f, \"search_s\": %.4f, \"search_evaluations\": %zu}\n",
      static_cast<long long>(samples), static_cast<long long>(identities), repeats, best.group, best.sort, best.threshold, best.search,
      evaluations);
  return 0;
}

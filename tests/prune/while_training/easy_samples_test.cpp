// Easy samples, against the definition on the whole data set in float64, on any number of ranks.
#include "prune/while_training/easy_samples.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "tests/prune/synthetic.h"

namespace diffprob::prune::tests {
namespace {

using Rule = EpochPruningOptions::Rule;

constexpr std::int64_t kSamples = 1003, kIdentities = 40;

/// What the last epoch of each sample said; some were in none, some have a probability of 0 or 1.
struct Whole {
  std::vector<float> probability;
  std::vector<std::int32_t> visits;
  std::vector<std::int64_t> label;
};

Whole draw_whole(std::uint64_t seed) {
  Draws draws(seed);
  Whole whole;
  for (std::int64_t i = 0; i < kSamples; ++i) {
    const auto kind = draws.below(20);
    whole.probability.push_back(kind == 0   ? 0.0F
                                : kind == 1 ? 1.0F
                                            : static_cast<float>(draws.uniform()));
    whole.visits.push_back(draws.below(10) == 0 ? 0 : 1);
    whole.label.push_back(static_cast<std::int64_t>(draws.below(kIdentities)));
  }
  return whole;
}

/// A loss of -log p, at most 110; below the mean of those seen, in the whole set or the identity.
std::vector<bool> obvious(const Whole& whole, Rule rule) {
  const auto loss = [&](std::size_t i) {
    return std::min(-std::log(static_cast<double>(whole.probability[i])), 110.0);
  };
  std::vector<bool> easy(whole.label.size());
  for (std::size_t i = 0; i < easy.size(); ++i) {
    double sum = 0, count = 0;
    for (std::size_t k = 0; k < easy.size(); ++k) {
      if (whole.visits[k] == 0 || (rule == Rule::kIdentity && whole.label[k] != whole.label[i]))
        continue;
      sum += loss(k);
      ++count;
    }
    // Losses are rounded to 2^-20: none of these lies so near to the mean.
    const bool near = count > 1 && std::abs(loss(i) - sum / count) < 2e-6;
    EXPECT_FALSE(whole.visits[i] > 0 && near) << i;
    easy[i] = whole.visits[i] > 0 && count > 1 && loss(i) < sum / count;
  }
  return easy;
}

TEST(EasySamples, AreThoseOfTheDefinitionForAnyRanks) {
  dist::HostCollectives collectives;
  const auto range = samples_of_rank(kSamples, collectives.rank(), collectives.world_size());
  for (const Rule rule : {Rule::kInfoBatch, Rule::kIdentity}) {
    const Whole whole = draw_whole(rule == Rule::kIdentity ? 1 : 2);
    const auto wanted = obvious(whole, rule);
    DynamicsState own(range, 2);
    for (std::int64_t i = range.first; i < range.last; ++i) {
      const auto row = static_cast<std::size_t>(i - range.first);
      own.last_probability[row] = whole.probability[static_cast<std::size_t>(i)];
      own.visits[row] = whole.visits[static_cast<std::size_t>(i)];
    }
    const SampleBits found = easy_samples(
        own, rule, kSamples,
        [&](std::int64_t i) { return whole.label[static_cast<std::size_t>(i)]; }, kIdentities,
        collectives);
    for (std::int64_t i = 0; i < kSamples; ++i)
      ASSERT_EQ(found.test(i), wanted[static_cast<std::size_t>(i)]) << i;
  }
}

TEST(EasySamples, PutsBitsAnywhere) {
  for (const std::int64_t first : {0, 1, 63, 64, 100}) {
    for (const std::int64_t count : {0, 1, 63, 64, 65, 200}) {
      Draws draws(static_cast<std::uint64_t>(100 * first + count));
      std::vector<std::uint64_t> bits(static_cast<std::size_t>((count + 63) / 64));
      for (auto& word : bits)  // bits beyond count are not to be taken
        word = draws.below(1ULL << 32) << 32 | draws.below(1ULL << 32);
      SampleBits all(400);
      all.put(first, count, bits.data());
      for (std::int64_t i = 0; i < 400; ++i) {
        const std::int64_t k = i - first;
        const bool wanted =
            k >= 0 && k < count && (bits[static_cast<std::size_t>(k / 64)] >> (k % 64) & 1U) != 0;
        ASSERT_EQ(all.test(i), wanted) << first << " " << count << " " << i;
      }
    }
  }
}

TEST(EasySamples, EpochsThatAreWhole) {
  const EpochPruningOptions options{Rule::kInfoBatch, 0.5, 0.75};
  std::vector<bool> pruned;
  for (std::int64_t epoch = 0; epoch < 8; ++epoch)
    pruned.push_back(prunes_epoch(options, epoch, 8));
  EXPECT_EQ(pruned, (std::vector<bool>{false, true, true, true, true, true, false, false}));
  EXPECT_FALSE(prunes_epoch({}, 3, 8));
}

}  // namespace
}  // namespace diffprob::prune::tests

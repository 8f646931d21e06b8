// Epochs that leave places out, against lists.
#include "data/loading/filtered_plan.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "data/error.h"
#include "data/loading/weighted_sampler.h"
#include "data/random/keyed_random.h"

namespace diffprob::data {
namespace {

/// Every place by its own draw; share 0: none, 1: all.
std::vector<std::uint64_t> drawn_words(std::int64_t places, float share, std::uint64_t key) {
  std::vector<std::uint64_t> words(static_cast<std::size_t>((places + 63) / 64));
  KeyedRandom random(key);
  for (std::int64_t i = 0; i < places; ++i)
    if (random.uniform() < share)
      words[static_cast<std::size_t>(i / 64)] |= std::uint64_t{1} << (i % 64);
  return words;
}

std::vector<std::int64_t> places_of(const std::vector<std::uint64_t>& words, std::int64_t places) {
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < places; ++i)
    if ((words[static_cast<std::size_t>(i / 64)] >> (i % 64) & 1U) != 0) kept.push_back(i);
  return kept;
}

TEST(KeptPlaces, FindsTheNthOfAList) {
  for (const std::int64_t places : {0, 1, 63, 64, 65, 511, 512, 513, 5000}) {
    for (const float share : {0.0F, 0.01F, 0.5F, 0.99F, 1.0F}) {
      const auto words = drawn_words(places, share, 7);
      const auto wanted = places_of(words, places);
      const KeptPlaces kept(words, places);
      ASSERT_EQ(kept.count(), static_cast<std::int64_t>(wanted.size()));
      for (std::size_t n = 0; n < wanted.size(); ++n)
        ASSERT_EQ(kept.place(static_cast<std::int64_t>(n)), wanted[n]) << places << " " << share;
    }
  }
}

TEST(KeptPlaces, RefusesAnotherNumberOfWords) {
  EXPECT_THROW(KeptPlaces({1, 2}, 64), DataError);
  EXPECT_THROW(KeptPlaces({}, 1), DataError);
}

constexpr std::int64_t kPlaces = 1000, kBatch = 48;

std::shared_ptr<const EpochPlan> whole_plan(bool with_replacement, int rank, int ranks) {
  if (!with_replacement) return std::make_shared<ShuffledPlan>(kPlaces, kBatch, 5, 3, rank, ranks);
  const std::vector<float> weights(kPlaces, 1.0F);
  return std::make_shared<WeightedPlan>(std::make_shared<AliasTable>(weights),
                                        PassOptions{kPlaces, kBatch, 5, 3, rank, ranks});
}

/// The samples of the whole epoch without those that are left out, cut into batches; rows of the
/// ranks one after the other.
TEST(FilteredPlan, HasTheOthersInTheirOrderForAnyRanks) {
  const auto words = drawn_words(kPlaces, 0.6F, 11);
  const auto kept = std::make_shared<const KeptPlaces>(words, kPlaces);
  for (const bool with_replacement : {false, true}) {
    std::vector<std::int64_t> wanted;
    const auto alone = whole_plan(with_replacement, 0, 1);
    for (const std::int64_t place : places_of(words, kPlaces))
      wanted.push_back(alone->sample_at(place));
    for (const int ranks : {1, 2, 5}) {
      std::vector<std::int64_t> found;
      for (std::int64_t batch = 0; batch < kept->count() / kBatch; ++batch) {
        for (int rank = 0; rank < ranks; ++rank) {
          const FilteredPlan plan(whole_plan(with_replacement, rank, ranks), kept, kBatch, rank,
                                  ranks);
          ASSERT_EQ(plan.num_batches(), kept->count() / kBatch);
          std::vector<std::int64_t> rows;
          plan.indices(batch, rows);
          found.insert(found.end(), rows.begin(), rows.end());
        }
      }
      ASSERT_EQ(found.size(), wanted.size() / kBatch * kBatch);
      EXPECT_TRUE(std::equal(found.begin(), found.end(), wanted.begin())) << ranks;
    }
  }
}

/// Augmentation goes with the place, not with the row that it moved up to.
TEST(FilteredPlan, AugmentsASampleAsInTheWholeEpoch) {
  const auto words = drawn_words(kPlaces, 0.5F, 13);
  const auto kept = std::make_shared<const KeptPlaces>(words, kPlaces);
  const auto places = places_of(words, kPlaces);
  for (const bool with_replacement : {false, true}) {
    const auto whole = whole_plan(with_replacement, 0, 1);
    const FilteredPlan plan(whole, kept, kBatch, 0, 1);
    std::vector<std::int64_t> rows;
    plan.indices(1, rows);
    for (std::int64_t row = 0; row < kBatch; ++row) {
      const std::int64_t place = places[static_cast<std::size_t>(kBatch + row)];
      EXPECT_EQ(plan.augment_key(1, row, rows[static_cast<std::size_t>(row)]),
                whole->augment_key(place / kBatch, place % kBatch, whole->sample_at(place)));
    }
  }
}

TEST(FilteredPlan, RefusesFewerThanABatchAndOtherPlaces) {
  const auto whole = whole_plan(false, 0, 1);
  const auto few = std::make_shared<const KeptPlaces>(drawn_words(kPlaces, 0.01F, 1), kPlaces);
  const auto other = std::make_shared<const KeptPlaces>(drawn_words(640, 1.0F, 1), 640);
  EXPECT_THROW(FilteredPlan(whole, few, kBatch, 0, 1), DataError);
  EXPECT_THROW(FilteredPlan(whole, other, kBatch, 0, 1), DataError);
}

}  // namespace
}  // namespace diffprob::data

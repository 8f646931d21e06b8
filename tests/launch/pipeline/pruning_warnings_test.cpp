// What a pruning warns of.
#include "launch/pipeline/pruning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace diffprob::launch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// 10 small identities of 8 images and 10 large ones of 100; so many of each are kept.
prune::PruneResult pruned(std::int64_t of_small, std::int64_t of_large) {
  prune::PruneResult result;
  for (int i = 0; i < 10; ++i) {
    result.fairness.add(8, 8, of_small);
    result.fairness.add(100, 100, of_large);
  }
  result.num_samples = result.usable = result.fairness.all.samples;
  result.kept = result.fairness.all.kept;
  return result;
}

TEST(PruningWarnings, SmallIdentitiesThatLoseMoreAreNamed) {
  EXPECT_THAT(pruning_warnings(pruned(2, 50)),
              ElementsAre(HasSubstr("small identities lose most: of 10 with fewer than 10 images, "
                                    "25.0 % of the images are kept, of all 48.1 %")));
}

TEST(PruningWarnings, TheAdviceFitsTheMethod) {
  prune::PruneResult result = pruned(2, 50);
  EXPECT_THAT(pruning_warnings(result), ElementsAre(HasSubstr("Raise prune.min_kept or ")));
  result.options.method = prune::Method::kDeep;
  EXPECT_THAT(
      pruning_warnings(result),
      ElementsAre(HasSubstr("prune.method=deep leaves the smallest out: lower prune.depth")));
  result.options.method = prune::Method::kDeepDiffProb;
  EXPECT_THAT(pruning_warnings(result),
              ElementsAre(HasSubstr("prune.method=deep_diffprob leaves")));
}

TEST(PruningWarnings, NothingIsSaidWhereTheyLoseNoMore) {
  EXPECT_THAT(pruning_warnings(pruned(4, 50)), IsEmpty());
  EXPECT_THAT(pruning_warnings(pruned(8, 50)), IsEmpty());
  prune::PruneResult large;
  large.fairness.add(100, 100, 10);
  large.num_samples = large.usable = 100;
  large.kept = 10;
  EXPECT_THAT(pruning_warnings(large), IsEmpty());
}

}  // namespace
}  // namespace diffprob::launch

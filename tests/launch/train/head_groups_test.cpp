#include "launch/train/head_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launch/config/head_group.h"
#include "tests/launch/job/runtime_under_test.h"

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;

Config with(const std::string& group) {
  Config config;
  config.model.head_group = group;
  return config;
}

TEST(HeadGroup, IsANumberOrAWord) {
  EXPECT_EQ(head_group_of("0").kind, HeadGroup::Kind::kAll);
  EXPECT_EQ(head_group_of("8").ranks, 8);
  EXPECT_EQ(head_group_of("node").kind, HeadGroup::Kind::kNode);
  EXPECT_EQ(head_group_of("auto").kind, HeadGroup::Kind::kAuto);
  for (const auto* wrong : {"", "-1", "8 ", "nodes", "99999999999"})
    EXPECT_THROW((void)head_group_of(wrong), ConfigError) << wrong;
}

TEST(HeadGroup, ACopyPerNodePaysBelowTheRowsOfABatchPerRankOfANode) {
  EXPECT_TRUE(copy_per_node_pays(8 * 1000 - 1, 1000, 8, 64));
  EXPECT_FALSE(copy_per_node_pays(8 * 1000, 1000, 8, 64));
  EXPECT_FALSE(copy_per_node_pays(10, 1000, 8, 8)) << "one node";
  EXPECT_FALSE(copy_per_node_pays(10, 1000, 0, 64)) << "uneven nodes";
}

TEST(HeadGroup, TheRanksOfOneNodeShareOneCopy) {
  const auto runtime = tests::make_runtime(Config());
  const int ranks = runtime->world_size();
  for (const auto* group : {"0", "node", "auto"})
    EXPECT_EQ(head_group_size(with(group), 10, *runtime), ranks) << group;
  EXPECT_EQ(head_group_size(with("1"), 10, *runtime), 1);
  try {
    (void)head_group_size(with(std::to_string(ranks + 1)), 10, *runtime);
    ADD_FAILURE() << "a group of more ranks than there are";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a divisor of the number of ranks"));
  }
}

}  // namespace
}  // namespace diffprob::launch

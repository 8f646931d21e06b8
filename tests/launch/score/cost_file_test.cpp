#include "launch/score/cost_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/model/scratch_folder.h"

namespace diffprob::launch {
namespace {

TEST(ScoringCostFile, ComesBackAsWritten) {
  const tests::ScratchFolder folder;
  const ScoringCostFile file(folder.path());
  EXPECT_EQ(file.read().images, 0);

  file.write({1.5, 200});
  file.write({2.25, 300});

  EXPECT_DOUBLE_EQ(file.read().seconds, 2.25);
  EXPECT_EQ(file.read().images, 300);

  file.remove();
  file.remove();
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_DOUBLE_EQ(file.read().seconds, 0);
}

TEST(ScoringCostFile, WhatCannotBeReadCountsAsNothing) {
  const tests::ScratchFolder folder;
  for (const char* text : {"", "[]", "{\"seconds\":1}", "{\"seconds\":-1,\"images\":5}",
                           "{\"seconds\":1,\"images\":-5}", "{\"seconds\":\"x\",\"images\":5}"}) {
    std::ofstream(folder.file("cost.json")) << text;
    const ScoringCost cost = ScoringCostFile(folder.path()).read();
    EXPECT_DOUBLE_EQ(cost.seconds, 0) << text;
    EXPECT_EQ(cost.images, 0) << text;
  }
}

}  // namespace
}  // namespace diffprob::launch

#include "model/head_files/rank_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <c10/util/Exception.h>

#include <fstream>

#include "tests/model/scratch_folder.h"

namespace diffprob::model {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

int rank_of(const std::string& name) {
  const auto rank = rank_in_name(name);
  return rank ? rank->rank : -1;
}

std::string problem_of(const std::vector<std::string>& files) {
  try {
    (void)in_rank_order(files);
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "no problem";
}

TEST(RankOrder, ReadsRanksFromNames) {
  EXPECT_EQ(rank_of("rank_9/checkpoint_gpu_3.pt"), 3);
  EXPECT_EQ(rank_of("rank_11_softmax_weight.pt"), 11);
  EXPECT_EQ(rank_of("rank:1_softmax_weight.pt"), -1);
  EXPECT_EQ(rank_of("classifier_rank7.pt"), 7);
  EXPECT_EQ(rank_of("HEAD_Epoch_4_Split_2_checkpoint.pth"), 2);
  EXPECT_EQ(rank_of("295672header.pth"), -1);
  EXPECT_EQ(rank_of("rank_0/header.pth"), -1);
  const auto own = rank_in_name("x/head.00002-of-00008.pth");
  ASSERT_TRUE(own);
  EXPECT_EQ(own->rank, 2);
  EXPECT_EQ(own->ranks, 8);
}

TEST(RankOrder, SortsByNumberAndNotByText) {
  EXPECT_THAT(
      in_rank_order({"gpu_2.pt", "gpu_10.pt", "gpu_1.pt", "gpu_0.pt", "gpu_3.pt", "gpu_4.pt",
                     "gpu_5.pt", "gpu_6.pt", "gpu_9.pt", "gpu_8.pt", "gpu_7.pt"})
          .back(),
      "gpu_10.pt");
  EXPECT_THAT(in_rank_order({"b.pth", "a.pth"}), ElementsAre("b.pth", "a.pth"));
}

TEST(RankOrder, NamesRanksThatAreMissingOrThereTwice) {
  EXPECT_THAT(problem_of({"gpu_0.pt", "gpu_3.pt"}), HasSubstr("missing: rank 1, 2"));
  EXPECT_THAT(problem_of({"gpu_1.pt"}), HasSubstr("missing: rank 0"));
  EXPECT_THAT(problem_of({"a/gpu_0.pt", "b/gpu_0.pt"}),
              HasSubstr("rank 0 is there twice: a/gpu_0.pt and b/gpu_0.pt"));
  EXPECT_THAT(problem_of({"head.00000-of-00003.pth", "head.00001-of-00003.pth"}),
              HasSubstr("missing: rank 2"));
  EXPECT_EQ(problem_of({"head.00000-of-00004.pth", "head.00001-of-00004.pth"}), "no problem");
  EXPECT_THAT(problem_of({"head.00000-of-00002.pth", "head.00001-of-00003.pth"}),
              HasSubstr("is of 3 ranks, but another file is of 2"));
  EXPECT_THAT(problem_of({"gpu_0.pt", "header.pth"}),
              HasSubstr("header.pth: its name has no rank"));
}

TEST(RankOrder, TakesTheFilesOfAFolder) {
  const tests::ScratchFolder folder;
  const auto touch = [&](const std::string& name) { std::ofstream(folder.file(name)) << 1; };
  EXPECT_THROW((void)without_folders({folder.path().string()}), c10::Error);
  touch("rank_1_softmax_weight.pt");
  touch("rank_0_softmax_weight.pt");
  touch("rank_0_softmax_weight_mom.pt");
  touch("model.pt");
  EXPECT_THAT(
      in_rank_order(without_folders({folder.path().string()})),
      ElementsAre(EndsWith("/rank_0_softmax_weight.pt"), EndsWith("/rank_1_softmax_weight.pt")));
  touch("checkpoint_gpu_0.pt");
  EXPECT_THROW((void)without_folders({folder.path().string()}), c10::Error);
}

}  // namespace
}  // namespace diffprob::model

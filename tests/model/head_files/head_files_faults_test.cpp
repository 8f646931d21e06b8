// Files that are no heads, or not the heads that are wanted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <torch/types.h>

#include <fstream>
#include <limits>
#include <sstream>

#include "model/head_files/head_files.h"
#include "model/head_files/writer.h"
#include "model/weights/weights.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <class Work>
std::string message_of(const Work& work) {
  try {
    work();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

class HeadFilesFaults : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return folder_.file(name); }

  std::string problem_with(const StateDict& entries, std::int64_t dim = 0,
                           const std::string& name = "head.pth") {
    write_pth(path(name), entries);
    return message_of([&] { (void)HeadFiles({path(name)}, dim); });
  }

  tests::ScratchFolder folder_;
};

TEST_F(HeadFilesFaults, SaysWhatTheFileSeemsToBe) {
  EXPECT_THAT(
      problem_with({{"conv1.weight", at::zeros({4, 3, 3, 3})}, {"fc.weight", at::zeros({4, 9})}}),
      AllOf(HasSubstr("head.pth: found the weights of a network without a head (2 tensors, "
                      "the first is conv1.weight [4, 3, 3, 3])"),
            HasSubstr("expected class centres: weight [C, D], kernel [D, C]")));
  EXPECT_THAT(problem_with({{"state.0.momentum_buffer", at::zeros({4, 9})}}),
              HasSubstr("a training state without a head"));
  EXPECT_THAT(problem_with({{"weight", at::zeros({4, 9})}, {"head.kernel", at::zeros({9, 4})}}),
              HasSubstr("two entries may be the class centres, weight and head.kernel"));
  EXPECT_THAT(problem_with({{"weight", at::zeros({4, 9}, at::kLong)}}), HasSubstr("of type Long"));
  EXPECT_THAT(problem_with({{"weight", at::zeros({4, 9})}}, 0, "rank_0_softmax_weight_mom.pt"),
              HasSubstr("holds momenta of class centres"));
  EXPECT_THAT(message_of([&] { (void)HeadFiles({path("none.pth")}); }), HasSubstr("none.pth"));
}

TEST_F(HeadFilesFaults, NamesSizesThatDoNotFit) {
  EXPECT_THAT(problem_with({{"kernel", at::zeros({6, 9})}}, 4),
              HasSubstr("kernel is [6, 9], of which no side is the embedding size 4"));
  EXPECT_THAT(problem_with({{"weight", at::zeros({0, 4})}}), HasSubstr("0 classes of 4 values"));
  write_pth(path("gpu_0.pt"), StateDict{{"weight", at::zeros({3, 4})}});
  write_pth(path("gpu_1.pt"), StateDict{{"weight", at::zeros({3, 5})}});
  EXPECT_THAT(message_of([&] {
                (void)HeadFiles({path("gpu_0.pt"), path("gpu_1.pt")});
              }),
              HasSubstr("gpu_1.pt: its class centres have 5 values, but those of"));
}

TEST_F(HeadFilesFaults, NamesTheClassWhoseCentreIsNotFinite) {
  at::Tensor rows = at::ones({5, 4});
  rows[3][1] = std::numeric_limits<float>::quiet_NaN();
  write_pth(path("head.pth"), StateDict{{"weight", rows}});
  const HeadFiles files({path("head.pth")});
  EXPECT_THAT(message_of([&] {
                files.read(1, at::empty({4, 4}));
              }),
              HasSubstr("head.pth: the centre of class 3 has values that are not finite"));
  EXPECT_EQ(message_of([&] { files.read(0, at::empty({3, 4})); }), "no error");
  EXPECT_THAT(message_of([&] { files.read(2, at::empty({4, 4})); }), HasSubstr("are wanted"));
}

TEST_F(HeadFilesFaults, FindsDamage) {
  write_pth(path("head.pth"), StateDict{{"weight", at::ones({50, 4})}});
  std::ostringstream content;
  content << std::ifstream(path("head.pth"), std::ios::binary).rdbuf();
  std::string bytes = content.str();
  const std::string ones("\x00\x00\x80\x3f\x00\x00\x80\x3f", 8);
  ASSERT_NE(bytes.find(ones), std::string::npos);
  bytes[bytes.find(ones) + 2] = '\x55';
  std::ofstream(path("head.pth"), std::ios::binary) << bytes;
  const HeadFiles files({path("head.pth")});
  EXPECT_THAT(message_of([&] { files.read(0, at::empty({50, 4})); }), HasSubstr("head.pth"));
}

TEST_F(HeadFilesFaults, ExportsLeaveNoMixtureOfShards) {
  write_pth(path("head.pth"), StateDict{{"weight", at::ones({5, 4})}});
  const HeadFiles files({path("head.pth")});
  write_head(path("out"), HeadForm::kRankWeights, 3, files);
  EXPECT_THAT(message_of([&] { write_head(path("out"), HeadForm::kRankWeights, 2, files); }),
              HasSubstr("rank_2_softmax_weight.pt: is there already"));
  write_head(path("own"), HeadForm::kCheckpoint, 2, files);
  EXPECT_THAT(message_of([&] { write_head(path("own"), HeadForm::kCheckpoint, 3, files); }),
              HasSubstr("is of another number of shards than 3"));
  EXPECT_THAT(message_of([&] { write_head(path("head.pth"), HeadForm::kWeight, 1, files); }),
              HasSubstr("is an input itself"));
  EXPECT_THAT(message_of([&] { write_head(path("o.pth"), HeadForm::kWeight, 2, files); }),
              HasSubstr("2 shards of 5 classes, and this form is a single file"));
  EXPECT_THAT(message_of([&] { write_head(path("many"), HeadForm::kRankWeights, 6, files); }),
              HasSubstr("6 shards of 5 classes"));
}

}  // namespace
}  // namespace diffprob::model

#include "model/head_files/head_files.h"

#include <gtest/gtest.h>

#include <torch/types.h>

#include "model/head/sharded_head.h"
#include "model/head_files/writer.h"
#include "model/weights/tree.h"
#include "tests/model/scratch_folder.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kClasses = 11, kDim = 4;

class HeadFilesTest : public ::testing::Test {
 protected:
  HeadFilesTest() { torch::manual_seed(7); }
  [[nodiscard]] std::string path(const std::string& name) const { return folder_.file(name); }

  /// The centres, written in that form.
  std::vector<std::string> write(HeadForm form, int shards, const std::string& name) {
    write_pth(path("all.pth"), StateDict{{"weight", centres_}});
    return write_head(path(name), form, shards, HeadFiles({path("all.pth")}), companions_);
  }

  /// What each of so many ranks reads, one after the other.
  [[nodiscard]] at::Tensor read_by(int ranks, const HeadFiles& files) const {
    std::vector<at::Tensor> rows;
    for (int rank = 0; rank < ranks; ++rank) {
      const std::int64_t first = first_class_of_rank(kClasses, rank, ranks);
      rows.push_back(at::zeros({first_class_of_rank(kClasses, rank + 1, ranks) - first, kDim}));
      files.read(first, rows.back());
    }
    return at::cat(rows);
  }

  tests::ScratchFolder folder_;
  at::Tensor centres_ = at::randn({kClasses, kDim});
  HeadCompanions companions_{{{"conv1.weight", at::ones({2, 3, 1, 1})}}, 5, 1234, {}};
};

TEST_F(HeadFilesTest, AnyNumberOfRanksReadsAnyNumberOfShards) {
  for (const auto& [name, form] : head_form_words()) {
    for (const int shards : {1, 2, 3}) {
      if (shards > 1 && is_one_file(form)) continue;
      const auto written = write(form, shards, name + std::to_string(shards));
      EXPECT_EQ(written.size(), static_cast<std::size_t>(shards));
      const std::vector<std::string> reversed(written.rbegin(), written.rend());
      const HeadFiles files(reversed, kDim);
      EXPECT_EQ(files.num_classes(), kClasses);
      for (const int ranks : {1, 2, 3, 4})
        EXPECT_TRUE(at::equal(read_by(ranks, files), centres_))
            << name << ", " << shards << " shards, " << ranks << " ranks";
    }
  }
}

TEST_F(HeadFilesTest, EveryFormGoesIntoEveryOther) {
  for (const auto& [from_name, from] : head_form_words()) {
    const auto first = write(from, is_one_file(from) ? 1 : 2, "from_" + from_name);
    for (const auto& [to_name, to] : head_form_words()) {
      const std::string target = path(from_name + "_to_" + to_name);
      const auto second =
          write_head(target, to, is_one_file(to) ? 1 : 3, HeadFiles(first), companions_);
      EXPECT_TRUE(at::equal(read_by(1, HeadFiles(second)), centres_)) << target;
    }
  }
}

TEST_F(HeadFilesTest, FirstClassesAreThoseOfTheTrainers) {
  std::vector<std::int64_t> own, theirs;
  for (int rank = 0; rank <= 3; ++rank) {
    own.push_back(first_class_of_shard(HeadForm::kCheckpoint, kClasses, rank, 3));
    theirs.push_back(first_class_of_shard(HeadForm::kArcfaceTorch, kClasses, rank, 3));
  }
  EXPECT_EQ(own, (std::vector<std::int64_t>{0, 3, 7, 11}));
  EXPECT_EQ(theirs, (std::vector<std::int64_t>{0, 4, 8, 11}));
}

TEST_F(HeadFilesTest, FilesHoldTheNamesOfTheirTrainers) {
  const auto names = [](const std::string& file) {
    std::string text;
    for (const auto& [name, tensor] : read_weight_entries(file)) text += name + " ";
    return text;
  };
  EXPECT_EQ(names(write(HeadForm::kKernel, 1, "header.pth")[0]), "kernel ");
  EXPECT_EQ(names(write(HeadForm::kArcfaceTorch, 2, "states")[1]),
            "state_dict_backbone.conv1.weight state_dict_softmax_fc.weight ");
  EXPECT_EQ(names(write(HeadForm::kRankWeights, 2, "ranks")[1]), " ");
  EXPECT_EQ(read_weight_entries(path("header.pth"))[0].second.sizes(),
            (at::IntArrayRef{kDim, kClasses}));
}

TEST_F(HeadFilesTest, ReadsEveryFloatTypeAndEveryPlaceOfTheEntry) {
  const auto wrapped = [&](const std::vector<std::string>& names, const at::Tensor& tensor) {
    PthValue value = tensor;
    for (auto name = names.rbegin(); name != names.rend(); ++name)
      value = PthDictionary{{{*name, std::move(value)}}};
    write_pth_tree(path("one.pth"), value);
    return HeadFiles({path("one.pth")}, kDim);
  };
  for (const auto type : {at::kHalf, at::kBFloat16, at::kDouble}) {
    const at::Tensor stored = centres_.to(type);
    EXPECT_TRUE(at::equal(read_by(3, wrapped({"weight"}, stored)), stored.to(at::kFloat)));
  }
  const std::vector<std::vector<std::string>> rows = {{},
                                                      {"module.weight"},
                                                      {"state_dict", "head.weight"},
                                                      {"classifier.weight"},
                                                      {"partial_fc.weight"},
                                                      {"state_dict_softmax_fc", "weight"}};
  for (const auto& names : rows)
    EXPECT_TRUE(at::equal(read_by(2, wrapped(names, centres_)), centres_));
  const at::Tensor columns = centres_.t().contiguous();
  for (const auto& names : std::vector<std::vector<std::string>>{
           {"kernel"}, {"state_dict", "head.kernel"}, {"module.kernel"}, {"state_dict", "weight"}})
    EXPECT_TRUE(at::equal(read_by(2, wrapped(names, columns)), centres_));
}

TEST_F(HeadFilesTest, SafetensorsHoldCentresToo) {
  for (const auto form : {HeadForm::kWeight, HeadForm::kKernel}) {
    const HeadFiles files(write(form, 1, "head.safetensors"), kDim);
    EXPECT_TRUE(at::equal(read_by(2, files), centres_));
  }
}

TEST_F(HeadFilesTest, RowsMayBeOfAnotherType) {
  const HeadFiles files(write(HeadForm::kRankWeights, 3, "ranks"));
  const at::Tensor rows = at::empty({5, kDim}, at::kBFloat16);
  files.read(3, rows);
  EXPECT_TRUE(at::equal(rows, centres_.narrow(0, 3, 5).to(at::kBFloat16)));
}

}  // namespace
}  // namespace diffprob::model

#include "launch/inputs/set_paths.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace diffprob::launch {
namespace {
namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SetPathsTest : public ::testing::Test {
 protected:
  SetPathsTest() {
    root_ = fs::temp_directory_path() / ("diffprob_set_paths_test_" + std::to_string(::getpid()));
    fs::create_directories(root_ / "faces/images/someone");
    for (const char* name : {"faces/train.rec", "faces/lfw.bin", "faces/agedb_30.bin",
                             "faces/images/lfw.bin", "own.bin"})
      std::ofstream(root_ / name) << "x";
    before_ = fs::current_path();
    fs::current_path(root_);
  }
  ~SetPathsTest() override {
    fs::current_path(before_);
    fs::remove_all(root_);
  }

  static Config config(std::vector<std::string> train, std::vector<std::string> sets) {
    Config config;
    config.data.train = std::move(train);
    config.eval.sets = std::move(sets);
    return config;
  }
  static std::vector<std::string> paths(std::vector<std::string> train,
                                        std::vector<std::string> sets) {
    return set_paths(config(std::move(train), std::move(sets)));
  }

  fs::path root_, before_;
};

TEST_F(SetPathsTest, NamesAreThoseBesideTheTrainingSet) {
  EXPECT_THAT(paths({"faces"}, {"lfw", "agedb_30.bin"}),
              ElementsAre("faces/lfw.bin", "faces/agedb_30.bin"));
  EXPECT_THAT(paths({"faces/"}, {"lfw"}), ElementsAre("faces/lfw.bin"));
  EXPECT_THAT(paths({"faces/train.rec"}, {"lfw"}), ElementsAre("faces/lfw.bin"));
}

TEST_F(SetPathsTest, AFolderOfImagesHasThemInsideOrAbove) {
  EXPECT_THAT(paths({"faces/images"}, {"lfw", "agedb_30"}),
              ElementsAre("faces/images/lfw.bin", "faces/agedb_30.bin"));
  fs::current_path(root_ / "faces");
  EXPECT_THAT(paths({"."}, {"own"}), ElementsAre((root_ / "own.bin").string()));
  EXPECT_THAT(paths({"images"}, {"agedb_30"}),
              ElementsAre((root_ / "faces/agedb_30.bin").string()));
}

TEST_F(SetPathsTest, FoldersOfAllSetsComeBeforeThoseAbove) {
  EXPECT_THAT(paths({"faces/images", "faces"}, {"agedb_30", "own"}),
              ElementsAre("faces/agedb_30.bin", (root_ / "own.bin").string()));
}

TEST_F(SetPathsTest, PathsAndFilesStayAsTheyAre) {
  EXPECT_THAT(paths({"faces"}, {"own.bin", "faces/lfw.bin", "no/lfw", "none"}),
              ElementsAre("own.bin", "faces/lfw.bin", "no/lfw", "none"));
  fs::create_directory(root_ / "lfw");  // a folder is no set
  EXPECT_THAT(paths({"faces"}, {"lfw"}), ElementsAre("faces/lfw.bin"));
  EXPECT_THAT(paths({"synthetic"}, {"lfw"}), ElementsAre("lfw"));
}

TEST_F(SetPathsTest, WhatIsMissingIsSaidWithWhatIsThere) {
  EXPECT_EQ(missing_set("no/lfw.bin", config({"faces"}, {})), "no/lfw.bin is not there");
  EXPECT_EQ(missing_set("cfp_fp", config({"faces"}, {})),
            "cfp_fp is not there, and cfp_fp.bin is neither in faces nor in " + root_.string() +
                ". The .bin files there are faces/agedb_30.bin, faces/lfw.bin, " +
                (root_ / "own.bin").string());
  EXPECT_THAT(missing_set("cfp_fp", config({"synthetic"}, {})), HasSubstr("beside data.train"));
  EXPECT_THAT(missing_set("cfp_fp", config({"faces/images/someone/x.rec"}, {})),
              HasSubstr("is neither in faces/images/someone, where no .bin file is"));
}

}  // namespace
}  // namespace diffprob::launch

#include "launch/checkpoint/network_list.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include "data/error.h"

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class NetworkListTest : public ::testing::Test {
 protected:
  NetworkListTest() {
    folder_ = fs::temp_directory_path() / ("diffprob_network_list_" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~NetworkListTest() override { fs::remove_all(folder_); }
  void make(const std::string& file) const {
    fs::create_directories((folder_ / file).parent_path());
    std::ofstream(folder_ / file) << "x";
  }
  [[nodiscard]] std::vector<std::string> names(const std::string& inside = "") const {
    std::vector<std::string> found;
    const NetworkList list = list_networks((folder_ / inside).string());
    EXPECT_TRUE(list.is_folder);
    for (const auto& network : list.networks) {
      EXPECT_TRUE(fs::exists(network.path)) << network.path;
      EXPECT_TRUE(network.step);
      found.push_back(network.name);
    }
    return found;
  }
  fs::path folder_;
};

TEST_F(NetworkListTest, CheckpointsByStep) {
  for (const char* name : {"step_00000200", "step_00000030", "step_123456789",
                           "step_00000010.broken", "step_x", "best"})
    make("run/checkpoints/" + std::string(name) + "/backbone.pth");

  const std::vector<std::string> wanted = {"step_00000030", "step_00000200", "step_123456789"};
  EXPECT_EQ(names("run/checkpoints"), wanted);
  EXPECT_EQ(names("run/checkpoints/"), wanted);
  EXPECT_EQ(names("run"), wanted);  // the output folder of a training
}

TEST_F(NetworkListTest, OneCheckpointAndOneFileAreNoFolder) {
  make("a/step_00000001/manifest.json");
  make("9backbone.pth");
  for (const char* name : {"a/step_00000001", "a/step_00000001/", "9backbone.pth"}) {
    const NetworkList list = list_networks((folder_ / name).string());
    EXPECT_FALSE(list.is_folder) << name;
    EXPECT_EQ(list.networks.size(), 1U);
    EXPECT_EQ(list.networks[0].step, std::nullopt);
  }
  EXPECT_EQ(list_networks((folder_ / "a/step_00000001/").string()).networks[0].name,
            "step_00000001");
}

TEST_F(NetworkListTest, WeightFilesByNumberWithoutHeads) {
  for (const char* name : {"18backbone.pth", "9backbone.pth", "18header.pth", "9header.pth",
                           "backbone.pth.txt", "other.pth", "20backbone.txt"})
    make(name);
  EXPECT_THAT(names(), ElementsAre("9backbone.pth", "18backbone.pth"));
}

TEST_F(NetworkListTest, WeightFilesOfAnyNameBehindTheNumber) {
  for (const char* name : {"3.pth", "12_ema.pth", "model.pth"}) make(name);
  EXPECT_THAT(names(), ElementsAre("3.pth", "12_ema.pth"));
}

TEST_F(NetworkListTest, AFolderOfNothingIsNamed) {
  try {
    (void)list_networks(folder_.string());
    FAIL();
  } catch (const data::DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr(folder_.string() + ": holds no network; expected"));
  }
}

}  // namespace
}  // namespace diffprob::launch

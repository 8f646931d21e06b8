#include "launch/job/try_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/launch/job/runtime_under_test.h"

namespace diffprob::launch {
namespace {
namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A place that all ranks know and that is not there yet.
class TryFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    Config config;
    config.device = dist::DeviceRequest::kCpu;
    runtime_ = tests::make_runtime(config);
    const auto number = runtime_->control().all_gather(static_cast<std::int64_t>(::getpid()))[0];
    root_ = fs::temp_directory_path() / ("diffprob_try_" + std::to_string(number));
  }
  void TearDown() override {
    runtime_->control().barrier("end of a test");
    std::error_code error;
    if (runtime_->is_root()) fs::remove_all(root_, error);
  }
  [[nodiscard]] bool is_last() const { return runtime_->rank() == runtime_->world_size() - 1; }

  std::unique_ptr<Runtime> runtime_;
  fs::path root_;
};

TEST_F(TryFolder, MakesTheFolderAndLeavesItEmpty) {
  EXPECT_THAT(try_folder("output", root_ / "a" / "b", false, *runtime_), IsEmpty());
  EXPECT_TRUE(fs::is_empty(root_ / "a" / "b"));
}

TEST_F(TryFolder, ADryRunLeavesNothing) {
  EXPECT_THAT(try_folder("output", (root_ / "a" / "b").string() + "/", true, *runtime_), IsEmpty());
  runtime_->control().barrier("both are back");
  EXPECT_FALSE(fs::exists(root_));
}

TEST_F(TryFolder, ADryRunLeavesWhatAnotherJobHasWrittenMeanwhile) {
  if (runtime_->world_size() == 1) GTEST_SKIP() << "one rank cannot write while it tries";
  if (is_last()) {  // rank 0 has made the folder and waits for this rank
    while (!fs::exists(root_ / "a" / "b"))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    fs::create_directory(root_ / "a" / "other");
    std::ofstream(root_ / "a" / "other" / "file") << "mine";
  }
  EXPECT_THAT(try_folder("output", root_ / "a" / "b", true, *runtime_), IsEmpty());
  runtime_->control().barrier("all are back");
  EXPECT_TRUE(fs::exists(root_ / "a" / "other" / "file"));
  EXPECT_FALSE(fs::exists(root_ / "a" / "b"));
}

TEST_F(TryFolder, AFileInTheWayIsTold) {
  if (runtime_->is_root()) std::ofstream(root_) << "no folder";
  runtime_->control().barrier("the file is there");
  const auto problems = try_folder("output", root_, true, *runtime_);
  if (runtime_->is_root())
    EXPECT_THAT(problems, ElementsAre(HasSubstr("is a file, expected a folder")));
  else
    EXPECT_THAT(problems, IsEmpty());
  EXPECT_TRUE(fs::is_regular_file(root_));
}

}  // namespace
}  // namespace diffprob::launch

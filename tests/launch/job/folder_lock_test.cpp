// One job a folder: refused while another process has it, granted when that one ends, however it
// ends.
#include "launch/job/folder_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;
using Mode = FolderLock::Mode;
using std::chrono::milliseconds;
using ::testing::HasSubstr;

class FolderLockTest : public ::testing::Test {
 protected:
  FolderLockTest()
      : folder_(fs::temp_directory_path() / ("diffprob_lock_" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~FolderLockTest() override {
    if (holder_ > 0) end_holder();
    fs::remove_all(folder_);
  }

  /// Another process that has the lock when this returns, and keeps it until it is killed.
  void hold(Mode mode) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    holder_ = fork();
    ASSERT_GE(holder_, 0);
    if (holder_ == 0) {
      const FolderLock lock(folder_, mode, milliseconds(0));
      if (write(ready[1], "x", 1) != 1) _exit(1);
      while (true) pause();
    }
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
  }

  void end_holder() {
    kill(holder_, SIGKILL);
    waitpid(holder_, nullptr, 0);
    holder_ = 0;
  }

  std::string message_of(Mode mode, milliseconds patience) {
    try {
      const FolderLock lock(folder_, mode, patience);
      return "granted";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }

  std::string folder_;
  pid_t holder_ = 0;
};

TEST_F(FolderLockTest, ASecondJobIsRefusedAndToldWhoHasIt) {
  hold(Mode::kAlone);

  const std::string message = message_of(Mode::kAlone, milliseconds(250));

  EXPECT_THAT(message, HasSubstr(folder_ + " is in use by another job, process " +
                                 std::to_string(holder_) + " on "));
  EXPECT_THAT(message, HasSubstr("delete " + folder_ + "/job.lock"));
  EXPECT_THAT(message_of(Mode::kShared, milliseconds(0)), HasSubstr("is in use"));
}

TEST_F(FolderLockTest, AKilledHolderLeavesNothingBehind) {
  hold(Mode::kAlone);
  end_holder();

  EXPECT_EQ(message_of(Mode::kAlone, milliseconds(0)), "granted");
}

TEST_F(FolderLockTest, SharersLetEachOtherIn) {
  hold(Mode::kShared);

  EXPECT_EQ(message_of(Mode::kShared, milliseconds(0)), "granted");
  EXPECT_THAT(message_of(Mode::kAlone, milliseconds(0)), HasSubstr("is in use"));
}

TEST_F(FolderLockTest, AMovedLockIsHeldOnce) {
  FolderLock first(folder_, Mode::kAlone, milliseconds(0));
  FolderLock second = std::move(first);

  EXPECT_THAT(message_of(Mode::kAlone, milliseconds(0)),
              HasSubstr("process " + std::to_string(getpid())));
  second = FolderLock();

  EXPECT_EQ(message_of(Mode::kAlone, milliseconds(0)), "granted");
}

TEST_F(FolderLockTest, AMissingFolderIsNamed) {
  EXPECT_THROW(
      {
        try {
          const FolderLock lock(folder_ + "/none", Mode::kAlone, milliseconds(0));
        } catch (const std::runtime_error& error) {
          EXPECT_THAT(
              error.what(),
              HasSubstr("/none/job.lock: cannot be opened for writing: No such file or directory"));
          throw;
        }
      },
      std::runtime_error);
}

}  // namespace
}  // namespace diffprob::launch

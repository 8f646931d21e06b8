#include "launch/observe/log_file.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class LogFileTest : public ::testing::Test {
 protected:
  LogFileTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("diffprob_log_file_test_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    path_ = (folder_ / "training.log").string();
  }
  ~LogFileTest() override { std::filesystem::remove_all(folder_); }

  /// A program that starts: its log goes to console_ and to the file that it opens.
  std::shared_ptr<LogFile> start(std::int64_t most_bytes = LogFile::kMostBytes) {
    auto file = std::make_shared<LogFile>(console_, "start", most_bytes);
    log_ = std::make_unique<spdlog::logger>("test", spdlog::sinks_init_list{console_, file});
    log_->set_pattern("%v");
    return file;
  }
  static std::string content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }

  std::filesystem::path folder_;
  std::string path_;
  std::ostringstream printed_;
  std::shared_ptr<spdlog::sinks::sink> console_ =
      std::make_shared<spdlog::sinks::ostream_sink_mt>(printed_);
  std::unique_ptr<spdlog::logger> log_;
};

TEST_F(LogFileTest, LinesWaitUntilTheFileIsOpened) {
  const auto file = start();
  log_->info("one");
  EXPECT_FALSE(std::filesystem::exists(path_));
  file->open(path_);
  log_->warn("two");
  EXPECT_EQ(content(path_), "start\none\ntwo\n");
  EXPECT_EQ(printed_.str(), "one\ntwo\n");
}

TEST_F(LogFileTest, ALaterStartAppendsAndSaysSo) {
  start()->open(path_);
  log_->info("one");
  start()->open(path_);
  log_->info("two");
  EXPECT_EQ(content(path_), "start\none\nstart; what is above is of earlier starts\ntwo\n");
}

TEST_F(LogFileTest, ALineThatAKillTearsIsEnded) {
  std::ofstream(path_) << "half a li";
  start()->open(path_);
  EXPECT_EQ(content(path_), "half a li\nstart; what is above is of earlier starts\n");
}

TEST_F(LogFileTest, OldLinesMoveAside) {
  start(/*most_bytes=*/40)->open(path_);
  for (int i = 0; i < 9; ++i) log_->info("line number {}", i);  // 14 bytes each
  EXPECT_EQ(content(path_ + ".1"), "line number 6\nline number 7\n");
  EXPECT_EQ(content(path_), "line number 8\n");
}

TEST_F(LogFileTest, AFullDiskIsOneWarning) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  std::filesystem::create_symlink("/dev/full", path_);
  start()->open(path_);
  EXPECT_NO_THROW(log_->info("one"));
  EXPECT_NO_THROW(log_->info("two"));
  EXPECT_EQ(printed_.str(), path_ +
                                ": cannot be written: No space left on device. The job goes on; "
                                "log lines may be missing there\none\ntwo\n");
}

TEST_F(LogFileTest, AFileThatCannotBeOpenedIsOneWarning) {
  std::filesystem::create_directory(path_);
  start()->open(path_);
  log_->info("one");
  EXPECT_THAT(printed_.str(), HasSubstr("cannot be opened: Is a directory"));
  EXPECT_THAT(printed_.str(), HasSubstr("one\n"));
}

TEST_F(LogFileTest, AnotherFileIsOpened) {
  const auto file = start();
  file->open(path_);
  log_->info("one");
  file->open((folder_ / "other.log").string());  // as the next job of the same process
  log_->info("two");
  EXPECT_THAT(content(path_), Not(HasSubstr("two")));
  EXPECT_EQ(content((folder_ / "other.log").string()), "start\ntwo\n");
}

}  // namespace
}  // namespace diffprob::launch

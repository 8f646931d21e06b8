#include "launch/observe/metrics.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <gtest/gtest.h>

namespace diffprob::launch {
namespace {

class MetricsTest : public ::testing::Test {
 protected:
  MetricsTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("diffprob_metrics_test_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    path_ =
        (folder_ /
         (std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) + ".jsonl"))
            .string();
  }
  ~MetricsTest() override { std::filesystem::remove_all(folder_); }
  std::string content() const {
    std::ostringstream text;
    text << std::ifstream(path_, std::ios::binary).rdbuf();
    return text.str();
  }
  void put(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(MetricsTest, OneObjectALineInTheOrderGiven) {
  Metrics metrics(path_);

  metrics.write({{"step", 1}, {"loss", 2.5}, {"a", "x\ny"}});
  EXPECT_EQ(content(),
            "{\"step\":1,\"loss\":2.5,\"a\":\"x\\ny\"}\n");  // there before the object is destroyed
  metrics.write({{"step", 2}, {"loss", std::numeric_limits<double>::quiet_NaN()}});

  EXPECT_EQ(content(), "{\"step\":1,\"loss\":2.5,\"a\":\"x\\ny\"}\n{\"step\":2,\"loss\":null}\n");
}

TEST_F(MetricsTest, ResumedRunContinues) {
  { Metrics(path_).write({{"step", 1}}); }
  { Metrics(path_).write({{"step", 2}}); }
  EXPECT_EQ(content(), "{\"step\":1}\n{\"step\":2}\n");
}

TEST_F(MetricsTest, TornLastLineIsCutOff) {
  // Torn parts shorter and longer than the block that is read at a time, and ends of whole lines on
  // its borders.
  for (const std::size_t torn : {std::size_t{0}, std::size_t{1}, std::size_t{4095},
                                 std::size_t{4096}, std::size_t{4097}, std::size_t{10000}}) {
    for (const std::string& whole :
         {std::string(), std::string("{\"step\":1}\n"),
          std::string("{}\n{\"a\":\"") + std::string(4084, 'x') + "\"}\n"}) {
      put(whole + std::string(torn, 'y'));

      Metrics(path_).write({{"step", 2}});

      EXPECT_EQ(content(), whole + "{\"step\":2}\n")
          << whole.size() << " whole, " << torn << " torn";
    }
  }
}

TEST_F(MetricsTest, LinesOfAKilledProcessAreWhole) {
  const pid_t child = ::fork();
  if (child == 0) {
    Metrics metrics(path_);
    for (int step = 0;; ++step) metrics.write({{"step", step}, {"text", std::string(100, 'x')}});
  }
  while (!std::filesystem::exists(path_) || std::filesystem::file_size(path_) < 20000)
    ::usleep(1000);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);

  Metrics(path_).write({{"step", "resumed"}});

  std::istringstream lines(content());
  int step = 0;
  nlohmann::json last;
  for (std::string line; std::getline(lines, line); ++step) {
    last = nlohmann::json::parse(line);
    if (last["step"].is_number()) {
      EXPECT_EQ(last["step"], step);
    }
  }
  EXPECT_EQ(last["step"], "resumed");
  EXPECT_GT(step, 100);
}

TEST_F(MetricsTest, OtherRanksWriteNothing) {
  Metrics none;
  none.write({{"step", 1}});
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(MetricsTest, ErrorsNameTheFile) {
  const std::string missing = (folder_ / "missing" / "metrics.jsonl").string();
  try {
    Metrics metrics(missing);
    FAIL() << "opened a file in a folder that is not there";
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string(e.what()).find(missing), std::string::npos) << e.what();
  }
  Metrics metrics(path_);
  EXPECT_THROW(metrics.write(nlohmann::ordered_json::array({1, 2})), std::runtime_error);
  EXPECT_EQ(content(), "");
}

}  // namespace
}  // namespace diffprob::launch

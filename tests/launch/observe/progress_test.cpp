#include "launch/observe/progress.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace diffprob::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(FormatDuration, PicksTheUnitByTheRoundedValue) {
  EXPECT_EQ(format_duration(0), "0.0s");
  EXPECT_EQ(format_duration(12.34), "12.3s");
  EXPECT_EQ(format_duration(59.94), "59.9s");
  EXPECT_EQ(format_duration(59.96), "1m00s");
  EXPECT_EQ(format_duration(200), "3m20s");
  EXPECT_EQ(format_duration(3599.4), "59m59s");
  EXPECT_EQ(format_duration(3599.6), "1h00m");
  EXPECT_EQ(format_duration(3720), "1h02m");
  EXPECT_EQ(format_duration(100 * 3600 + 59 * 60 + 40), "101h00m");
  EXPECT_EQ(format_duration(-1), "?");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "?");
  EXPECT_EQ(format_duration(std::nan("")), "?");
}

TEST(MovingRate, IsTheQuotientAtASteadyPaceAndFollowsAChange) {
  MovingRate rate;
  EXPECT_EQ(rate.per_second(), 0);
  rate.add(50, 0.5);
  EXPECT_NEAR(rate.per_second(), 100, 1e-9);
  for (int i = 0; i < 100; ++i) rate.add(100, 1);
  EXPECT_NEAR(rate.per_second(), 100, 1e-9);

  for (int i = 0; i < 5; ++i) rate.add(10, 1);
  EXPECT_LT(rate.per_second(), 90);
  EXPECT_GT(rate.per_second(), 50);
  for (int i = 0; i < 100; ++i) rate.add(10, 1);
  EXPECT_NEAR(rate.per_second(), 10, 1);
}

/// Progress with a clock that the test sets, printing into a file that the test reads.
class ProgressTest : public ::testing::Test {
 protected:
  ProgressTest() : stream_(std::tmpfile()) {}
  ~ProgressTest() override { std::fclose(stream_); }
  ProgressOutput output() {
    return {stream_, [this] { return now_; }};
  }
  /// What has been printed since the last call.
  std::string printed() {
    std::fflush(stream_);
    std::string text;
    std::fseek(stream_, read_, SEEK_SET);
    for (int c = std::fgetc(stream_); c != EOF; c = std::fgetc(stream_))
      text += static_cast<char>(c);
    read_ = std::ftell(stream_);
    std::fseek(stream_, 0, SEEK_END);
    return text;
  }
  double now_ = 1000;

 private:
  std::FILE* stream_;
  long read_ = 0;
};

TEST_F(ProgressTest, PlainLinesEveryTenSeconds) {
  Progress progress("score", 1000, "images", false, output());
  now_ += 9.9;
  progress.advance(99);
  EXPECT_EQ(printed(), "");

  now_ += 0.1;
  progress.advance(100, "2 unreadable");

  EXPECT_EQ(printed(), "score: 10.0% (100/1000 images), 10.0 images/s, ETA 1m30s, 2 unreadable\n");
  now_ += 9;
  progress.advance(190);
  EXPECT_EQ(printed(), "");
}

TEST_F(ProgressTest, TerminalRewritesOneLine) {
  Progress progress("score", 1000, "images", true, output());
  now_ += 0.4;
  progress.advance(200);
  EXPECT_EQ(printed(), "");

  now_ += 0.2;
  progress.advance(300);

  const std::string first = printed();
  EXPECT_EQ(first.front(), '\r');
  EXPECT_THAT(
      first,
      HasSubstr(
          "[#######.................] score: 30.0% (300/1000 images), 500 images/s, ETA 1.4s"));
  EXPECT_THAT(first, HasSubstr("\033[K"));  // a shorter line leaves nothing of a longer one
  EXPECT_THAT(first, Not(HasSubstr("\n")));

  now_ += 1.4;
  progress.advance(1000);
  (void)printed();
  progress.finish();
  const std::string last = printed();
  EXPECT_THAT(last, HasSubstr("score: 1000 images in 2.0s, 500 images/s"));
  EXPECT_EQ(last.back(), '\n');
  progress.finish();
  progress.advance(5);
  EXPECT_EQ(printed(), "");
}

TEST_F(ProgressTest, FailedTaskLeavesTheCursorOnANewLine) {
  {
    Progress progress("score", 10, "images", true, output());
    now_ += 1;
    progress.advance(5);
    (void)printed();
  }
  EXPECT_EQ(printed(), "\n");
  { const Progress progress("score", 10, "images", true, output()); }
  EXPECT_EQ(printed(), "");
}

TEST_F(ProgressTest, StepsAsideForAMessage) {
  Progress progress("train", 10, "steps", true, output());
  progress.step_aside();
  EXPECT_EQ(printed(), "");  // no line yet
  now_ += 1;
  progress.advance(5);
  (void)printed();

  progress.step_aside();
  EXPECT_EQ(printed(), "\r\033[K");
  now_ += 0.01;
  progress.advance(6);
  EXPECT_THAT(printed(),
              HasSubstr("train: 60.0% (6/10 steps)"));  // at once, not after half a second

  Progress plain("train", 10, "steps", false, output());
  now_ += 10;
  plain.advance(1);
  (void)printed();
  plain.step_aside();
  EXPECT_EQ(printed(), "");
}

TEST_F(ProgressTest, ResumedTaskCountsItsOwnPaceOnly) {
  Progress progress("train", 1000, "steps", false, output());
  progress.resume_at(900);
  now_ += 10;
  progress.advance(920);
  EXPECT_EQ(printed(), "train: 92.0% (920/1000 steps), 2.0 steps/s, ETA 40.0s\n");
  now_ += 40;
  progress.advance(1000);
  (void)printed();
  progress.finish();
  EXPECT_EQ(printed(), "train: 100 steps in 50.0s, 2.0 steps/s\n");
}

TEST_F(ProgressTest, BarIsFullOnlyAtTheEnd) {
  Progress progress("train", 200, "steps", true, output());
  now_ += 1;
  progress.advance(0);
  EXPECT_THAT(printed(), HasSubstr("[........................] train: 0.0%"));
  now_ += 1;
  progress.advance(100);
  EXPECT_THAT(printed(), HasSubstr("[############............] train: 50.0%"));
  now_ += 1;
  progress.advance(199);
  EXPECT_THAT(printed(), HasSubstr("[#######################.] train: 99.5%"));
  now_ += 1;
  progress.advance(200);
  EXPECT_THAT(printed(), HasSubstr("[########################] train: 100.0%"));
}

TEST_F(ProgressTest, OddTotals) {
  Progress empty("score", 0, "images", false, output());
  now_ += 20;
  empty.advance(0);
  EXPECT_EQ(printed(), "score: 100.0% (0/0 images), 0.0 images/s\n");

  Progress over("score", 10, "images", false, output());
  now_ += 20;
  over.advance(20);
  EXPECT_EQ(printed(), "score: 100.0% (20/10 images), 1.0 images/s, ETA 0.0s\n");
}

}  // namespace
}  // namespace diffprob::launch

#include "data/files/worker_threads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace diffprob::data {
namespace {

TEST(ParallelFor, RunsEachIndexOnce) {
  for (const int threads : {0, 1, 4}) {
    std::vector<int> runs(1000);
    std::atomic<int> strangers{0};

    parallel_for(0, 1000, threads, [&](std::int64_t i, int worker) {
      ++runs[static_cast<std::size_t>(i)];
      if (worker < 0 || worker >= std::max(threads, 1)) ++strangers;
    });

    EXPECT_THAT(runs, ::testing::Each(1));
    EXPECT_EQ(strangers, 0);
  }
}

TEST(ParallelFor, DoesNothingWithoutIndices) {
  parallel_for(5, 5, 3, [](std::int64_t, int) { FAIL(); });
}

TEST(ParallelFor, ThrowsTheLowestFailure) {
  for (int repeat = 0; repeat < 100; ++repeat) {
    try {
      parallel_for(0, 1000, 4, [](std::int64_t i, int) {
        if (i % 100 >= 97) throw std::runtime_error(std::to_string(i));
      });
      FAIL() << "nothing thrown";
    } catch (const std::runtime_error& error) {
      ASSERT_STREQ(error.what(), "97");
    }
  }
}

}  // namespace
}  // namespace diffprob::data

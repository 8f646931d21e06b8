#include "model/kernels/block_workers.h"

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

namespace diffprob::model {
namespace {

TEST(BlockWorkers, RunsEachBlockOnceWithOneThreadAndWithoutGradients) {
  for (const int threads : {1, 2, 5}) {
    BlockWorkers workers(threads);
    ASSERT_EQ(workers.threads(), threads);
    for (const std::int64_t blocks : {0, 1, 3, 100}) {
      std::mutex mutex;
      std::multiset<std::int64_t> seen;
      std::atomic<int> most_threads = 0;
      std::atomic<bool> gradients = false;

      workers.run(blocks, [&](std::int64_t block) {
        if (at::get_num_threads() > most_threads) most_threads = at::get_num_threads();
        if (at::GradMode::is_enabled()) gradients = true;
        const std::lock_guard lock(mutex);
        seen.insert(block);
      });

      EXPECT_EQ(seen.size(), static_cast<std::size_t>(blocks));
      for (std::int64_t block = 0; block < blocks; ++block)
        EXPECT_EQ(seen.count(block), 1U) << block;
      EXPECT_EQ(most_threads, blocks == 0 ? 0 : 1);
      EXPECT_FALSE(gradients);
    }
  }
}

TEST(BlockWorkers, LeavesTheCallersThreadsAlone) {
  const int before = at::get_num_threads();
  at::set_num_threads(3);
  {
    BlockWorkers workers;
    EXPECT_EQ(workers.threads(), 3);
    workers.run(4, [](std::int64_t) {});
    EXPECT_EQ(at::get_num_threads(), 3);
  }
  EXPECT_EQ(at::get_num_threads(), 3);
  std::jthread([] {
    EXPECT_EQ(at::get_num_threads(), 3);
  }).join();  // what threads start with is as it was, too
  at::set_num_threads(before);
}

TEST(BlockWorkers, AnExceptionEndsTheRunAndIsThrownToTheCaller) {
  BlockWorkers workers(2);
  std::atomic<int> calls = 0;
  EXPECT_THROW(workers.run(1000,
                           [&](std::int64_t block) {
                             ++calls;
                             if (block >= 3)
                               throw std::runtime_error("block " + std::to_string(block));
                           }),
               std::runtime_error);
  EXPECT_LT(calls, 1000);
  calls = 0;
  workers.run(10, [&](std::int64_t) { ++calls; });  // still whole
  EXPECT_EQ(calls, 10);
}

}  // namespace
}  // namespace diffprob::model

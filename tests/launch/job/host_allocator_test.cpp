#include "launch/job/host_allocator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace diffprob::launch {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

class HostAllocator : public testing::Test {
 protected:
  static void SetUpTestSuite() { install_host_allocator(); }
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "not installed in builds with sanitizers";
#endif
    release_kept_host_memory();
  }
};

at::Tensor bytes(std::int64_t count) {
  return at::empty({count}, at::kByte);
}

TEST_F(HostAllocator, FreedBlockServesNextTensorOfAboutThatSize) {
  const std::int64_t before = host_allocations().used_bytes;
  const void* first = nullptr;
  {
    const at::Tensor tensor = bytes(64 * kMiB).fill_(7);
    first = tensor.data_ptr();
    EXPECT_EQ(host_allocations().used_bytes - before, 64 * kMiB);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % (2 * kMiB), 0u);
  }
  EXPECT_EQ(host_allocations().used_bytes, before);
  EXPECT_EQ(host_allocations().kept_bytes, 64 * kMiB);
  EXPECT_EQ(bytes(64 * kMiB).data_ptr(), first);
  EXPECT_EQ(bytes(60 * kMiB).data_ptr(), first);  // within an eighth
  EXPECT_NE(bytes(32 * kMiB).data_ptr(), first);
  EXPECT_NE(bytes(65 * kMiB).data_ptr(), first);
}

TEST_F(HostAllocator, WholeBlocksAreUsedAndZerosAreZeros) {
  bytes(8 * kMiB).fill_(255);
  const at::Tensor zeros = at::zeros({8 * kMiB}, at::kByte);  // the same block
  EXPECT_EQ(zeros.sum().item<std::int64_t>(), 0);
  const at::Tensor odd = bytes(5 * kMiB + 3).fill_(1);
  EXPECT_EQ(odd.sum().item<std::int64_t>(), 5 * kMiB + 3);
}

TEST_F(HostAllocator, SmallTensorsAreNotKept) {
  const HostAllocations before = host_allocations();
  { const at::Tensor small = bytes(kSmallestKept - 1).fill_(1); }
  { const at::Tensor none = bytes(0); }
  EXPECT_EQ(host_allocations().used_bytes, before.used_bytes);
  EXPECT_EQ(host_allocations().kept_bytes, before.kept_bytes);
}

TEST_F(HostAllocator, ReleaseGivesBackWhatIsFreeOnly) {
  const at::Tensor held = bytes(16 * kMiB).fill_(3);
  { const at::Tensor freed = bytes(24 * kMiB); }
  EXPECT_EQ(host_allocations().kept_bytes, 24 * kMiB);
  release_kept_host_memory();
  EXPECT_EQ(host_allocations().kept_bytes, 0);
  EXPECT_EQ(held.sum().item<std::int64_t>(), 3 * 16 * kMiB);
}

/// Sizes that never fit each other: what is mapped stays near what was used at once.
TEST_F(HostAllocator, KeptMemoryIsBounded) {
  for (std::int64_t mib = 400; mib > 2; mib = mib * 3 / 4) {
    const at::Tensor tensor = bytes(mib * kMiB);
    const HostAllocations now = host_allocations();
    EXPECT_LE(now.used_bytes + now.kept_bytes, 500 * kMiB + 64 * kMiB) << mib;
  }
}

TEST_F(HostAllocator, ImpossibleSizeIsAnErrorThatNamesIt) {
  try {
    static_cast<void>(bytes(std::int64_t{1} << 46));
    FAIL() << "64 TiB were granted";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("cannot allocate 67108864 MiB for a tensor"),
              std::string::npos)
        << error.what();
  }
}

TEST_F(HostAllocator, RawBlocksOfBothKinds) {  // as oneDNN takes them
  c10::Allocator* allocator = c10::GetAllocator(c10::DeviceType::CPU);
  for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, std::size_t{3} << 20}) {
    void* block = allocator->raw_allocate(size);
    ASSERT_NE(block, nullptr);
    static_cast<char*>(block)[size - 1] = 1;
    allocator->raw_deallocate(block);
  }
}

TEST_F(HostAllocator, ManyThreads) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &wrong] {
      for (int i = 0; i < 60; ++i) {
        const at::Tensor tensor = bytes((2 + (i * 7 + t) % 5) * kMiB).fill_(t + 1);
        const auto* values = tensor.const_data_ptr<std::uint8_t>();
        for (std::int64_t at = 0; at < tensor.numel(); at += 4096)
          wrong[static_cast<std::size_t>(t)] += values[at] != t + 1;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace diffprob::launch

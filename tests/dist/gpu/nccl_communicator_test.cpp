// What NCCL does with the values is checked against the same collectives over MPI on host tensors:
// on one rank a GPU, or with a pretended NCCL on pretended devices.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "dist/communicator.h"
#include "tests/dist/gpu/nccl_under_test.h"
#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

using tests::world_rank;
using tests::world_size;

class NcclCommunicatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = tests::make_nccl_under_test();
    if (!made.communicator) GTEST_SKIP() << made.why_none;
    device_ = made.device;
    nccl_ = std::move(made.communicator);
    mpi_ = make_mpi_communicator();
  }

  at::Tensor values(std::vector<std::int64_t> sizes, at::ScalarType type) const {
    std::int64_t n = 1;
    for (const auto s : sizes) n *= s;
    return ((torch::arange(n) * (world_rank() + 3)) % 23).to(type).view(sizes);
  }

  at::Device device_ = at::kCPU;
  std::unique_ptr<Communicator> nccl_;
  std::unique_ptr<Communicator> mpi_;
};

TEST_F(NcclCommunicatorTest, AllReduceOfEveryTypeAndOperation) {
  for (const auto type :
       {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf, at::kInt, at::kLong, at::kByte}) {
    for (const auto op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin}) {
      auto host = values({1000}, type);
      auto gpu = host.to(device_);

      nccl_->all_reduce(gpu, op)->wait_stream();
      mpi_->all_reduce(host, op)->wait_host();

      EXPECT_TRUE(torch::equal(gpu.cpu(), host)) << type;
    }
  }
}

TEST_F(NcclCommunicatorTest, UnevenGatherAndScatter) {
  std::vector<std::int64_t> counts;
  std::int64_t rows = 0;
  for (int r = 0; r < world_size(); ++r) rows += counts.emplace_back(r == 1 ? 0 : 2 * r + 1);
  const std::int64_t own = counts[static_cast<std::size_t>(world_rank())];
  auto part = values({own, 3}, at::kFloat);
  auto host_whole = torch::zeros({rows, 3});
  auto host_part = torch::zeros({own, 3});
  auto whole = host_whole.to(device_);
  auto gpu_part = host_part.to(device_);

  nccl_->all_gather_v(whole, part.to(device_), counts)->wait_stream();
  nccl_->reduce_scatter_v(gpu_part, whole, counts)->wait_host();
  mpi_->all_gather_v(host_whole, part, counts)->wait_host();
  mpi_->reduce_scatter_v(host_part, host_whole, counts)->wait_host();

  EXPECT_TRUE(torch::equal(whole.cpu(), host_whole));
  EXPECT_TRUE(torch::equal(gpu_part.cpu(), host_part));
}

TEST_F(NcclCommunicatorTest, ManyPiecesInOneOperation) {
  auto host = values({300, 257}, at::kFloat);
  auto gpu = host.to(device_);
  auto host_part = torch::zeros({300 / world_size(), 257});
  auto gpu_part = host_part.to(device_);
  host = host.narrow(0, 0, host_part.size(0) * world_size());
  gpu = gpu.narrow(0, 0, host.size(0));

  nccl_->reduce_scatter(gpu_part, gpu)->wait_stream();
  nccl_->all_gather(gpu, gpu_part)->wait_stream();
  mpi_->reduce_scatter(host_part, host)->wait_host();
  mpi_->all_gather(host, host_part)->wait_host();

  EXPECT_TRUE(torch::equal(gpu.cpu(), host));
}

TEST_F(NcclCommunicatorTest, BroadcastAndBarrier) {
  auto tensor = torch::full({1000}, world_rank() + 1.0, device_);

  nccl_->broadcast(tensor, 0)->wait_stream();
  nccl_->barrier()->wait_host();

  EXPECT_TRUE(torch::equal(tensor.cpu(), torch::ones({1000})));
}

TEST_F(NcclCommunicatorTest, RunsBehindTheStreamThatMadeItsInput) {
  auto tensor = torch::ones({1 << 20}, device_);
  for (int i = 0; i < 20; ++i) {
    tensor = tensor * 2 / world_size();  // still running when the collective is enqueued
    nccl_->all_reduce(tensor)->wait_stream();
  }

  EXPECT_EQ(tensor.min().item<float>(), 1048576.0F);
  EXPECT_EQ(tensor.max().item<float>(), 1048576.0F);
}

TEST_F(NcclCommunicatorTest, AbortedMeansDead) {
  nccl_->barrier()->wait_host();

  nccl_->abort();

  EXPECT_ANY_THROW(nccl_->barrier()->wait_host());
}

}  // namespace
}  // namespace diffprob::dist

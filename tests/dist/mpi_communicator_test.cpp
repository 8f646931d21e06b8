#include <gtest/gtest.h>
#include <torch/torch.h>

#include <thread>

#include "dist/communicator.h"
#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

using tests::world_rank;
using tests::world_size;

const std::vector<at::ScalarType> kTypes = {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf, at::kInt, at::kLong, at::kByte};

class MpiCommunicatorTest : public ::testing::Test {
 protected:
  std::unique_ptr<Communicator> comm_ = make_mpi_communicator();
};

/// What rank r holds; every rank can compute every other's.
at::Tensor values(int rank, std::vector<std::int64_t> sizes, at::ScalarType type) {
  std::int64_t n = 1;
  for (const auto s : sizes) n *= s;
  auto numbers = (torch::arange(n, torch::kLong) * (rank + 3)) % 50;
  if (at::isFloatingType(type)) return (numbers.to(torch::kDouble) / 7.0 + 0.1 * rank).to(type).view(sizes);
  return numbers.to(type).view(sizes);
}

/// Sum in rank order, as promised: float for the 16-bit types.
at::Tensor expected_sum(const std::vector<std::int64_t>& sizes, at::ScalarType type) {
  const auto wide = type == at::kBFloat16 || type == at::kHalf ? at::kFloat : type;
  auto sum = values(0, sizes, type).to(wide);
  for (int r = 1; r < world_size(); ++r) sum = sum + values(r, sizes, type).to(wide);
  return sum.to(type);
}

TEST_F(MpiCommunicatorTest, AllReduceSumsInRankOrder) {
  for (const auto type : kTypes) {
    for (const std::int64_t n : {1, 5, 1023, 100003}) {
      auto tensor = values(world_rank(), {n}, type);

      comm_->all_reduce(tensor)->wait_host();

      ASSERT_TRUE(torch::equal(tensor, expected_sum({n}, type))) << type << " " << n;
    }
  }
}

TEST_F(MpiCommunicatorTest, AllReduceOfExtremes) {
  for (const auto type : kTypes) {
    auto high = values(world_rank(), {3, 40}, type);
    auto low = high.clone();
    auto expected_high = values(0, {3, 40}, type);
    auto expected_low = expected_high.clone();
    for (int r = 1; r < world_size(); ++r) {
      expected_high = torch::maximum(expected_high, values(r, {3, 40}, type));
      expected_low = torch::minimum(expected_low, values(r, {3, 40}, type));
    }

    comm_->all_reduce(high, ReduceOp::kMax)->wait_host();
    comm_->all_reduce(low, ReduceOp::kMin)->wait_host();

    EXPECT_TRUE(torch::equal(high, expected_high)) << type;
    EXPECT_TRUE(torch::equal(low, expected_low)) << type;
  }
}

TEST_F(MpiCommunicatorTest, FloatSumsHaveTheSameBitsOnAllRanks) {
  torch::manual_seed(world_rank());
  auto tensor = torch::randn({70001});

  comm_->all_reduce(tensor)->wait_host();

  auto all = torch::empty({world_size(), 70001});
  comm_->all_gather(all, tensor.unsqueeze(0))->wait_host();
  for (int r = 0; r < world_size(); ++r) EXPECT_TRUE(torch::equal(all[r], tensor));
}

TEST_F(MpiCommunicatorTest, AllReduceAndBroadcastOfChannelsLast) {
  const auto format = at::MemoryFormat::ChannelsLast;
  auto sum = values(world_rank(), {2, 3, 4, 5}, at::kFloat).contiguous(format);
  auto copy = sum.clone();

  comm_->all_reduce(sum)->wait_host();
  comm_->broadcast(copy, world_size() - 1)->wait_host();

  EXPECT_TRUE(torch::equal(sum, expected_sum({2, 3, 4, 5}, at::kFloat)));
  EXPECT_TRUE(torch::equal(copy, values(world_size() - 1, {2, 3, 4, 5}, at::kFloat)));
  EXPECT_TRUE(sum.is_contiguous(format));
}

TEST_F(MpiCommunicatorTest, AllGatherOfUnevenRows) {
  for (const auto type : kTypes) {
    std::vector<std::int64_t> counts;
    std::vector<at::Tensor> parts;
    for (int r = 0; r < world_size(); ++r) {
      counts.push_back(r == 1 ? 0 : 2 * r + 1);
      parts.push_back(values(r, {counts.back(), 3, 2}, type));
    }
    const auto expected = torch::cat(parts);
    auto output = torch::zeros_like(expected);

    comm_->all_gather_v(output, parts[static_cast<std::size_t>(world_rank())], counts)->wait_host();

    EXPECT_TRUE(torch::equal(output, expected)) << type;
  }
}

TEST_F(MpiCommunicatorTest, ReduceScatterOfUnevenRows) {
  for (const auto type : kTypes) {
    std::vector<std::int64_t> counts;
    std::int64_t rows = 0;
    std::int64_t begin = 0;
    for (int r = 0; r < world_size(); ++r) {
      if (r == world_rank()) begin = rows;
      counts.push_back(r == 1 ? 0 : 2 * r + 1);
      rows += counts.back();
    }
    const std::int64_t own = counts[static_cast<std::size_t>(world_rank())];
    auto output = torch::zeros({own, 3}, type);

    comm_->reduce_scatter_v(output, values(world_rank(), {rows, 3}, type), counts)->wait_host();

    EXPECT_TRUE(torch::equal(output, expected_sum({rows, 3}, type).narrow(0, begin, own))) << type;
  }
}

TEST_F(MpiCommunicatorTest, ReduceScatterUndoesAllGather) {
  auto whole = torch::empty({world_size() * 4, 2});
  auto part = torch::empty({4, 2});

  comm_->all_gather(whole, values(world_rank(), {4, 2}, at::kFloat))->wait_host();
  comm_->reduce_scatter(part, whole)->wait_host();

  auto expected = values(world_rank(), {4, 2}, at::kFloat);
  auto sum = expected.clone();
  for (int r = 1; r < world_size(); ++r) sum += expected;
  EXPECT_TRUE(torch::equal(part, sum));
}

TEST_F(MpiCommunicatorTest, ManyOperationsInFlightEndInOrder) {
  auto tensor = torch::ones({17}, torch::kLong);
  std::vector<std::unique_ptr<Work>> works;
  for (int i = 0; i < 10; ++i) works.push_back(comm_->all_reduce(tensor));  // each multiplies by W
  works.push_back(comm_->barrier());
  std::this_thread::sleep_for(std::chrono::milliseconds(2));

  works.back()->wait_stream();
  for (auto& work : works) work->wait_host();

  std::int64_t expected = 1;
  for (int i = 0; i < 10; ++i) expected *= world_size();
  EXPECT_TRUE(torch::equal(tensor, torch::full({17}, expected, torch::kLong)));
}

TEST_F(MpiCommunicatorTest, DroppedWorkIsDoneWorkAndOutlivesItsCommunicator) {
  auto tensor = torch::ones({5});
  { const auto dropped = comm_->all_reduce(tensor); }
  EXPECT_EQ(tensor[0].item<float>(), static_cast<float>(world_size()));

  auto work = comm_->all_reduce(tensor);
  comm_.reset();
  work->wait_host();
  EXPECT_EQ(tensor[4].item<float>(), static_cast<float>(world_size() * world_size()));
}

TEST_F(MpiCommunicatorTest, RefusesWhatItCannotSend) {
  EXPECT_THROW((void)comm_->all_reduce(torch::ones({4, 4}).slice(1, 0, 2)), c10::Error);
  EXPECT_THROW((void)comm_->all_reduce(torch::ones({4}, torch::kBool)), c10::Error);
  EXPECT_THROW((void)comm_->broadcast(torch::ones({4}), world_size()), c10::Error);
  EXPECT_THROW((void)comm_->all_gather(torch::ones({world_size() + 1}), torch::ones({1})), c10::Error);
}

}  // namespace
}  // namespace diffprob::dist

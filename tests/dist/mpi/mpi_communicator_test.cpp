#include <gtest/gtest.h>
#include <torch/types.h>

#include <limits>
#include <thread>

#include "dist/communicator.h"
#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

using tests::world_rank;
using tests::world_size;

const std::vector<at::ScalarType> kTypes = {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf,
                                            at::kInt,   at::kLong,   at::kByte};

class MpiCommunicatorTest : public ::testing::Test {
 protected:
  std::unique_ptr<Communicator> comm_ = make_mpi_communicator();
};

/// What rank r holds; every rank can compute every other's.
at::Tensor values(int rank, std::vector<std::int64_t> sizes, at::ScalarType type) {
  std::int64_t n = 1;
  for (const auto s : sizes) n *= s;
  auto numbers = (torch::arange(n, torch::kLong) * (rank + 3)) % 50;
  if (at::isFloatingType(type))
    return (numbers.to(torch::kDouble) / 7.0 + 0.1 * rank).to(type).view(sizes);
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

/// A value that is not finite on the last rank only must reach all of them, whatever the place in
/// the order of the ranks.
TEST_F(MpiCommunicatorTest, NotFiniteValuesAreNeverLost) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const bool first = world_rank() == 0;
  const bool last = world_rank() == world_size() - 1;
  for (const auto type : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
    for (const std::int64_t n : {1, 5000, 50000}) {  // few go another way than many
      // NaN on the last rank, NaN on the first, infinity on the last
      const auto start = torch::ones({n, 3}, type);
      start.select(1, 0).fill_(last ? nan : 1.0);
      start.select(1, 1).fill_(first ? nan : 1.0);
      start.select(1, 2).fill_(last ? kInf : 1.0);
      auto sum = start.clone();
      auto high = start.clone();
      auto low = start.clone();

      comm_->all_reduce(sum)->wait_host();
      comm_->all_reduce(high, ReduceOp::kMax)->wait_host();
      comm_->all_reduce(low, ReduceOp::kMin)->wait_host();

      for (const auto& result : {sum, high, low})
        EXPECT_TRUE(result.narrow(1, 0, 2).isnan().all().item<bool>()) << type << " " << n;
      EXPECT_TRUE((sum.select(1, 2) == kInf).all().item<bool>()) << type;
      EXPECT_TRUE((high.select(1, 2) == kInf).all().item<bool>()) << type;
      EXPECT_EQ((low.select(1, 2) == 1).all().item<bool>(), world_size() > 1) << type;
    }
  }
  auto opposite = torch::full({1}, first ? kInf : -kInf);
  comm_->all_reduce(opposite)->wait_host();
  EXPECT_EQ(opposite.isnan().item<bool>(), world_size() > 1);
}

/// The way the header names to ask whether any rank holds something that is not finite.
TEST_F(MpiCommunicatorTest, AFlagTellsAllRanksOfOneBadRank) {
  for (const bool bad : {false, true}) {
    auto gradient = torch::ones({100});
    if (bad && world_rank() == world_size() - 1)
      gradient[17] = std::numeric_limits<float>::quiet_NaN();
    auto flag = gradient.isfinite().all().logical_not().to(torch::kFloat).view({1});

    comm_->all_reduce(flag, ReduceOp::kMax)->wait_stream();

    EXPECT_EQ(flag.item<float>(), bad ? 1.0F : 0.0F);
  }
}

TEST_F(MpiCommunicatorTest, SixteenBitSumsAreRoundedOnce) {
  // 256 + 1 + 1 + ... in bfloat16 stays 256 when each sum is rounded (256 + 1 = 257 is a tie that
  // goes to even).
  auto tensor = torch::full({world_size() * 3000}, world_rank() == 0 ? 256.0 : 1.0, at::kBFloat16);
  comm_->all_reduce(tensor)->wait_host();

  const auto expected = torch::full({1}, 256.0 + (world_size() - 1)).to(at::kBFloat16);
  EXPECT_TRUE((tensor == expected).all().item<bool>()) << tensor[0].item<float>();
}

/// Every bfloat16 there is, against LibTorch's own conversions.
TEST_F(MpiCommunicatorTest, BFloat16ArithmeticIsThatOfLibTorch) {
  const auto all = torch::arange(0, 65536, torch::kInt).to(torch::kShort).view(at::kBFloat16);
  const auto roll = [&](int rank) { return all.roll(7919 * rank); };
  auto expected = roll(0).to(torch::kFloat);
  for (int r = 1; r < world_size(); ++r) expected = expected + roll(r).to(torch::kFloat);
  auto tensor = roll(world_rank()).clone();

  comm_->all_reduce(tensor)->wait_host();

  EXPECT_TRUE(torch::allclose(tensor, expected.to(at::kBFloat16), 0, 0, /*equal_nan=*/true));
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
  EXPECT_THROW((void)comm_->all_gather(torch::ones({world_size() + 1}), torch::ones({1})),
               c10::Error);
}

}  // namespace
}  // namespace diffprob::dist

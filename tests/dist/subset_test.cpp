// Communicators of some of the ranks, beside that of all: on host tensors, and on pretended devices
// with a pretended NCCL.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "dist/communicator.h"
#include "tests/dist/ranks.h"
#include "tests/support/test_device.h"

namespace diffprob::dist {
namespace {

using tests::world_rank;
using tests::world_size;

class SubsetTest : public ::testing::Test {
 protected:
  std::unique_ptr<Communicator> world_ = tests::make_test_communicator();

  /// Of the ranks r of all with the same colour(r) as this one.
  template <class Colour>
  [[nodiscard]] std::unique_ptr<Communicator> part(const std::string& name, Colour colour) {
    std::vector<int> ranks;
    for (int r = 0; r < world_size(); ++r)
      if (colour(r) == colour(world_rank())) ranks.push_back(r);
    return world_->subset(name, ranks);
  }
  [[nodiscard]] at::Tensor filled(std::int64_t n, double value) const {
    return torch::full({n}, value, torch::kDouble).to(world_->device());
  }
  /// Sum over the ranks r of all for which `is_in` holds.
  template <class IsIn>
  static double sum_of_ranks(IsIn is_in) {
    double sum = 0;
    for (int r = 0; r < world_size(); ++r) sum += is_in(r) ? r : 0;
    return sum;
  }
};

TEST_F(SubsetTest, EveryOperationStaysInItsPart) {
  const int colour = world_rank() % 2;
  const auto part = this->part("even or odd", [](int r) { return r % 2; });
  const int size = (world_size() + 1 - colour) / 2;
  ASSERT_EQ(part->world_size(), size);
  ASSERT_EQ(part->rank(), world_rank() / 2);
  ASSERT_EQ(part->device(), world_->device());

  const at::Tensor sum = filled(1000, world_rank());
  part->all_reduce(sum)->wait_stream();
  const double expected = sum_of_ranks([&](int r) { return r % 2 == colour; });
  EXPECT_TRUE(torch::equal(sum.cpu(), filled(1000, expected).cpu()));

  const at::Tensor all = filled(size * 3, -1);
  part->all_gather(all, filled(3, world_rank()))->wait_stream();
  for (int place = 0; place < size; ++place)
    EXPECT_EQ(all.cpu()[place * 3].item<double>(), 2 * place + colour);

  const at::Tensor own = filled(2, -1);
  part->reduce_scatter(own, filled(2 * size, world_rank()))->wait_stream();
  EXPECT_EQ(own.cpu()[1].item<double>(), expected);

  const at::Tensor first = filled(5, world_rank());
  part->broadcast(first, 0)->wait_stream();
  EXPECT_EQ(first.cpu()[4].item<double>(), colour);
  part->barrier()->wait_host();
}

/// As a step of a training does: nothing waits for the host in between, and what belongs to
/// different communicators overlaps.
TEST_F(SubsetTest, OperationsOfSeveralCommunicatorsRunBesideEachOther) {
  const int halves = (world_size() + 1) / 2;
  const auto rows = part("rows", [](int r) { return r / 2; });
  const auto columns = part("columns", [](int r) { return r % 2; });
  const double in_row = sum_of_ranks([](int r) { return r / 2 == world_rank() / 2; });
  const double in_column = sum_of_ranks([](int r) { return r % 2 == world_rank() % 2; });
  for (int round = 0; round < 30; ++round) {
    const at::Tensor a = filled(7 + 1000 * (round % 3), world_rank());
    const at::Tensor b = a.clone();
    const at::Tensor c = a.clone();
    const auto first = columns->all_reduce(a);
    const auto second = world_->all_reduce(b);
    const auto third = rows->all_reduce(c);
    third->wait_stream();
    EXPECT_EQ(c.cpu()[0].item<double>(), in_row);
    first->wait_stream();
    second->wait_stream();
    EXPECT_EQ(a.cpu()[0].item<double>(), in_column);
    EXPECT_EQ(b.cpu()[0].item<double>(), sum_of_ranks([](int) { return true; }));
  }
  EXPECT_LE(columns->world_size(), halves);
}

TEST_F(SubsetTest, AllRanksOrOneMakeSubsetsToo) {
  const auto all = part("all", [](int) { return 0; });
  EXPECT_EQ(all->world_size(), world_size());
  const auto alone = part("alone", [](int r) { return r; });
  EXPECT_EQ(alone->world_size(), 1);
  const at::Tensor own = filled(3, world_rank());
  alone->all_reduce(own)->wait_stream();
  EXPECT_EQ(own.cpu()[2].item<double>(), world_rank());
}

}  // namespace
}  // namespace diffprob::dist

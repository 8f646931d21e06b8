#include "dist/mpi/roll_call.h"

#include <gtest/gtest.h>
#include <mpi.h>

#include <memory>
#include <optional>

#include "tests/dist/ranks.h"

namespace diffprob::dist {
namespace {

using tests::world_rank;
using tests::world_size;

/// A copy of the world, and a recorder of the operations on it.
class RollCallTest : public ::testing::Test {
 protected:
  void SetUp() override {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm_);
    recorder_ = FlightRecorder::make("test", world_rank(), world_size());
    roll_call_.emplace(comm_, recorder_);
  }

  void TearDown() override {
    MPI_Barrier(MPI_COMM_WORLD);
    roll_call_.reset();
    MPI_Comm_free(&comm_);
  }

  void enter_operations(int count) {
    for (int i = 0; i < count; ++i)
      recorder_->enqueue({"barrier", "", {}, std::source_location::current()});
  }

  /// In its second operation. Returns on all ranks when it has left.
  void let_rank_1_ask_and_leave() {
    if (world_rank() == 1) {
      (void)roll_call_->call("left early", 2);
      roll_call_.reset();
    }
    MPI_Barrier(MPI_COMM_WORLD);
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  std::shared_ptr<FlightRecorder> recorder_;
  std::optional<RollCall> roll_call_;
};

TEST_F(RollCallTest, NamesTheRankThatIsBehindAndWhereItIs) {
  enter_operations(world_rank() == 1 ? 2 : 3);
  MPI_Barrier(MPI_COMM_WORLD);
  if (world_rank() != 0) return;

  const std::string text = roll_call_->call("a test", 3);

  EXPECT_NE(text.find("; rank 1 did not arrive: in barrier #1"), std::string::npos) << text;
  EXPECT_EQ(text.find("rank 2"), std::string::npos) << text;
}

TEST_F(RollCallTest, SaysThatAllHaveEntered) {
  enter_operations(3);
  MPI_Barrier(MPI_COMM_WORLD);
  if (world_rank() != 0) return;

  const std::string text = roll_call_->call("a test", 3);

  EXPECT_EQ(text.find("; all ranks have entered this operation"), 0U) << text;
}

// Deadlines of several ranks pass at almost the same time: the first may have asked, been answered
// and left when the next one asks.
TEST_F(RollCallTest, ARankThatAskedAndLeftIsNotCalledFrozen) {
  enter_operations(2);
  MPI_Barrier(MPI_COMM_WORLD);
  let_rank_1_ask_and_leave();
  if (world_rank() != 0) return;

  const std::string text = roll_call_->call("a test", 2);

  EXPECT_EQ(text.find("; all ranks have entered this operation"), 0U) << text;
}

TEST_F(RollCallTest, ARankThatGaveUpEarlierDidNotArrive) {
  enter_operations(world_rank() == 1 ? 2 : 3);
  MPI_Barrier(MPI_COMM_WORLD);
  let_rank_1_ask_and_leave();
  if (world_rank() != 0) return;

  const std::string text = roll_call_->call("a test", 3);

  const std::string expected = "; rank 1 did not arrive: its own deadline passed in operation #2";
  EXPECT_NE(text.find(expected), std::string::npos) << text;
}

TEST_F(RollCallTest, ARankThatStaysSilentIsNamed) {
  MPI_Barrier(MPI_COMM_WORLD);
  if (world_rank() == 1) roll_call_.reset();
  MPI_Barrier(MPI_COMM_WORLD);
  if (world_rank() != 0) return;

  const std::string text = roll_call_->call("a test", 1);

  EXPECT_NE(text.find("; rank 1 did not answer (frozen, "), std::string::npos) << text;
}

}  // namespace
}  // namespace diffprob::dist

#include "launch/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>

#include <unistd.h>

#include <spdlog/fmt/fmt.h>

#include "model/sharded_head.h"
#include "tests/support/mpi_world.h"

namespace diffprob::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

/// Runtime of the test's own MPI world (tests/support/mpi_main.cpp holds MPI itself).
class Checkpoint : public ::testing::Test {
 protected:
  void SetUp() override {
    config_.device = "cpu";
    runtime_ = std::make_unique<Runtime>(tests::mpi(), config_);
    const std::string name = "diffprob_checkpoint_" + std::to_string(::getpid());
    folder_ = runtime_->control().broadcast((fs::temp_directory_path() / name).string(), 0);
  }
  void TearDown() override {
    runtime_->control().barrier("end of test");
    if (runtime_->is_root()) fs::remove_all(folder_);
  }

  /// Values are functions of the class id, so any split can be checked.
  [[nodiscard]] CheckpointState state_of(int rank, int world_size, double offset) const {
    const auto first = model::first_class_of_rank(kClasses, rank, world_size);
    const auto last = model::first_class_of_rank(kClasses, rank + 1, world_size);
    const auto rows = at::arange(first, last, at::kFloat).unsqueeze(1);
    CheckpointState state;
    state.backbone = {{"fc.weight", at::full({2, 3}, offset)}, {"bn.num_batches_tracked", at::tensor({7}, at::kLong).squeeze()}};
    state.backbone_momenta = {{"fc.weight", at::full({2, 3}, offset + 1)}};
    state.head_weight = (rows + offset).repeat({1, 4});
    state.head_momentum = (rows * 2 + offset).repeat({1, 4});
    state.first_class = first;
    return state;
  }

  [[nodiscard]] std::string save(std::int64_t step, double offset, std::int64_t keep = 2) {
    const CheckpointInfo info{step, 1, 2, 3.5, "tiny", 4, kClasses, "cosface", 32, 0.2, "train.lr=0.1\n"};
    return save_checkpoint(folder_, info, state_of(runtime_->rank(), runtime_->world_size(), offset), keep, *runtime_);
  }

  static constexpr std::int64_t kClasses = 11;
  Config config_;
  std::unique_ptr<Runtime> runtime_;
  std::string folder_;
};

TEST_F(Checkpoint, LoadsBackOnAnyNumberOfRanks) {
  const std::string path = save(5, 0.5);

  for (int world_size = 1; world_size <= 5; ++world_size) {
    for (int rank = 0; rank < world_size; ++rank) {
      CheckpointState loaded = state_of(rank, world_size, -100);
      load_checkpoint(path, loaded);
      const CheckpointState wanted = state_of(rank, world_size, 0.5);
      EXPECT_TRUE(at::equal(loaded.head_weight, wanted.head_weight));
      EXPECT_TRUE(at::equal(loaded.head_momentum, wanted.head_momentum));
      EXPECT_TRUE(at::equal(loaded.backbone[0].second, wanted.backbone[0].second));
      EXPECT_TRUE(at::equal(loaded.backbone_momenta[0].second, wanted.backbone_momenta[0].second));
    }
  }
  const CheckpointInfo info = read_checkpoint_info(path);
  EXPECT_EQ(info.step, 5);
  EXPECT_EQ(info.batch, 2);
  EXPECT_EQ(info.num_classes, kClasses);
  runtime_->control().barrier("all have read");
}

TEST_F(Checkpoint, NewestIsFoundAndOldOnesGo) {
  for (const std::int64_t step : {1, 2, 3}) (void)save(step, 0);

  const auto found = find_checkpoint(folder_, *runtime_);

  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(read_checkpoint_info(*found).step, 3);
  EXPECT_FALSE(fs::exists(folder_ + "/step_00000001"));
  EXPECT_TRUE(fs::exists(folder_ + "/step_00000002"));
  runtime_->control().barrier("all have read");
}

TEST_F(Checkpoint, BrokenOneIsPassedOver) {
  (void)save(1, 0);
  const std::string broken = save(2, 0);
  if (runtime_->is_root()) {  // one byte in the middle of the last shard
    const std::string shard = fmt::format("{}/head.{:05d}-of-{:05d}.pth", broken, runtime_->world_size() - 1, runtime_->world_size());
    std::fstream file(shard, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(fs::file_size(shard) / 2));
    const char byte = static_cast<char>(file.peek() ^ 1);
    file.seekp(static_cast<std::streamoff>(fs::file_size(shard) / 2));
    file.put(byte);
  }
  runtime_->control().barrier("broken");

  const auto found = find_checkpoint(folder_, *runtime_);

  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(read_checkpoint_info(*found).step, 1);
  runtime_->control().barrier("all have read");
}

TEST(CheckpointSettings, DifferencesAreListed) {
  EXPECT_THAT(settings_differences("a=1\nb=2\nc=3\n", "a=1\nb=5\nd=4\n"),
              ElementsAre("b: was 2, is 5", "d: was not there, is 4", "c: was 3, is gone"));
}

}  // namespace
}  // namespace diffprob::launch

#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "launch/checkpoint/manifest.h"
#include "launch/checkpoint/writer.h"
#include "model/head/sharded_head.h"

namespace diffprob::launch {

/// A folder that all ranks share, and states whose values are functions of the class id, so that
/// any split can be checked.
class CheckpointCase : public ::testing::Test {
 protected:
  static constexpr std::int64_t kClasses = 11;

  void SetUp() override {
    const auto name = "diffprob_checkpoint_" + std::to_string(::getpid());
    folder_ = control_.broadcast((std::filesystem::temp_directory_path() / name).string(), 0);
    control_.barrier("start of test");
  }
  void TearDown() override {
    control_.barrier("end of test");
    if (control_.rank() == 0) std::filesystem::remove_all(folder_);
  }

  static CheckpointState state_of(int rank, int world_size, double offset) {
    const auto first = model::first_class_of_rank(kClasses, rank, world_size);
    const auto classes =
        at::arange(first, model::first_class_of_rank(kClasses, rank + 1, world_size), at::kFloat)
            .unsqueeze(1);
    CheckpointState state;
    state.backbone = {{"fc.weight", at::full({2, 3}, offset)},
                      {"bn.num_batches_tracked", at::full({}, 7, at::kLong)}};
    state.first_class = first;
    state.replicated = {{"optimizer", {{"fc.weight.momentum", at::full({2, 3}, offset + 1)}}},
                        {"loss", {{"t", at::full({1}, offset + 2)}}}};
    state.rows = {{"weight", (classes + offset).repeat({1, 4})},
                  {"momentum", (classes * 2 + offset).repeat({1, 4}).to(at::kBFloat16)},
                  {"count", (classes + 5).squeeze(1).to(at::kLong)}};
    state.local = {{"bn.running_mean", at::full({3}, offset + 10 * rank)}};
    state.rank = rank;
    state.world_size = world_size;
    return state;
  }
  [[nodiscard]] CheckpointState own_state(double offset) const {
    return state_of(control_.rank(), control_.world_size(), offset);
  }

  static CheckpointInfo info_of(std::int64_t step) {
    CheckpointInfo info;
    info.step = step;
    info.epoch = step / 10;
    info.batch = step % 10;
    info.num_classes = kClasses;
    info.backbone = "tiny";
    info.settings = "train.lr=0.1\n";
    info.config = "train:\n  lr: 0.1\n";
    return info;
  }

  /// Written when this returns. @return its path
  std::string save(std::int64_t step, double offset, Retention retention = {2, 0}) {
    CheckpointWriter writer(folder_, retention, control_);
    writer.start(info_of(step), own_state(offset));
    writer.finish();
    return writer.newest();
  }

  static void expect_equal(const model::StateDict& found, const model::StateDict& wanted) {
    ASSERT_EQ(found.size(), wanted.size());
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_TRUE(at::equal(found[i].second, wanted[i].second)) << wanted[i].first;
  }
  /// Everything but `local`.
  static void expect_same_shared(const CheckpointState& found, const CheckpointState& wanted) {
    expect_equal(found.backbone, wanted.backbone);
    expect_equal(found.rows, wanted.rows);
    for (std::size_t i = 0; i < wanted.replicated.size(); ++i)
      expect_equal(found.replicated[i].entries, wanted.replicated[i].entries);
  }

  [[nodiscard]] std::vector<std::string> names_in_folder() const {
    std::vector<std::string> names;
    for (const auto& item : std::filesystem::directory_iterator(folder_))
      names.push_back(item.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  dist::HostCollectives control_;
  std::string folder_;
};

}  // namespace diffprob::launch

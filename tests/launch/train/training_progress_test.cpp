#include "launch/train/training_progress.h"

#include <gtest/gtest.h>

#include <tuple>

namespace diffprob::launch {
namespace {

TrainingProgress of(std::int64_t steps_per_epoch) {
  TrainingProgress progress;
  progress.epochs = 5;
  progress.steps_per_epoch = steps_per_epoch;
  return progress;
}

TEST(TrainingProgress, AnUnchangedBatchResumesWhereItStopped) {
  TrainingProgress progress = of(30);
  progress.resume_at(2, 7, 32, 32, 67);
  EXPECT_EQ(progress.epoch, 2);
  EXPECT_EQ(progress.batch, 7);
  EXPECT_EQ(progress.place(), 67);
  EXPECT_EQ(progress.step(), 67);
  EXPECT_EQ(progress.all_steps(), 150);
}

TEST(TrainingProgress, UpdatesGoOnFromTheirNumberWithAnyBatch) {
  // 30 batches of 32 an epoch; now 15 of 64, or 60 of 16.
  for (const auto& [size, per_epoch, batch] : {std::tuple{64, 15, 3}, std::tuple{16, 60, 14}}) {
    TrainingProgress progress = of(per_epoch);
    progress.resume_at(2, 7, 32, size, 67);
    EXPECT_EQ(progress.epoch, 2) << size;
    EXPECT_EQ(progress.batch, batch) << size;
    EXPECT_EQ(progress.step(), 67) << size;
    EXPECT_EQ(progress.all_steps() - progress.step(), 3 * per_epoch - batch) << size;
    ++progress.batch;
    EXPECT_EQ(progress.step(), 68) << size;
  }
}

TEST(TrainingProgress, WhatIsNoWholeBatchOfTheEpochEndsIt) {
  TrainingProgress progress = of(4);  // 130 samples: 4 batches of 32, 13 of 10
  progress.resume_at(1, 13, 10, 32, 26);
  EXPECT_EQ(progress.epoch, 2);
  EXPECT_EQ(progress.batch, 0);
  EXPECT_EQ(progress.step(), 26);
}

/// Epochs of 30 batches, of which some have fewer: the schedule goes through all of each.
TEST(TrainingProgress, EpochsOfFewerBatchesHaveTheWholeSchedule) {
  TrainingProgress progress = of(30);
  std::int64_t updates = 0;
  for (const std::int64_t batches : {30, 20, 7, 30, 30}) {
    progress.set_batches(batches);
    EXPECT_EQ(progress.place(), 30 * progress.epoch);
    std::int64_t before = -1;
    for (std::int64_t k = 0; k < batches; ++k) {
      EXPECT_FALSE(progress.at_end_of_epoch());
      EXPECT_EQ(progress.step(), updates++);
      EXPECT_EQ(progress.place(), 30 * progress.epoch + 30 * k / batches);
      EXPECT_GT(progress.place(), before);
      before = progress.place();
      ++progress.batch;
    }
    EXPECT_TRUE(progress.at_end_of_epoch());
    progress.next_epoch();
  }
  EXPECT_EQ(progress.step(), 117);
  EXPECT_EQ(progress.all_steps(), 117);
}

TEST(TrainingProgress, ResumesWithinAnEpochOfFewerBatches) {
  TrainingProgress progress = of(30);
  progress.resume_at(2, 5, 32, 32, 55);  // the second epoch had 20 batches
  progress.set_batches(7);
  EXPECT_EQ(progress.step(), 55);
  EXPECT_EQ(progress.place(), 60 + 30 * 5 / 7);
  EXPECT_EQ(progress.all_steps() - progress.step(), 2 + 2 * 30);
}

}  // namespace
}  // namespace diffprob::launch

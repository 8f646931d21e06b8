#include "data/loading/loader.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "data/error.h"
#include "data/images/jpeg_decoder.h"
#include "tests/data/memory_set.h"
#include "tests/data/test_files.h"

namespace diffprob::data {
namespace {

using test::drain;
using test::expect_same;
using test::kSide;
using test::MemorySet;
using test::train_plan;

LoaderOptions options_with(int threads, bool flip = false,
                           OnCorrupt on_corrupt = OnCorrupt::kFail) {
  LoaderOptions options;
  options.image_size = kSide;
  options.decode_threads = threads;
  options.prefetch_batches = 3;
  options.flip = flip;
  options.on_corrupt = on_corrupt;
  return options;
}

/// Row by row, without a loader.
at::Tensor decode_alone(const MemorySet& set, std::int64_t index) {
  ImageDecoder decoder;
  at::Tensor image = at::empty({kSide, kSide, 3}, at::kByte);
  decoder.decode(set.images[static_cast<std::size_t>(index)], kSide,
                 image.data_ptr<std::uint8_t>());
  return image;
}

TEST(Loader, DeliversThePlanInOrder) {
  const auto set = std::make_shared<MemorySet>(53);
  Loader loader(set, std::make_shared<SequentialPlan>(53, 20, 0, 1), options_with(2));

  const auto batches = drain(loader);

  ASSERT_EQ(batches.size(), 3u);
  EXPECT_EQ(batches[2].images.sizes(), (std::vector<std::int64_t>{13, kSide, kSide, 3}));
  std::int64_t index = 0;
  for (const Batch& batch : batches) {
    for (std::int64_t row = 0; row < batch.indices.size(0); ++row, ++index) {
      EXPECT_EQ(batch.indices[row].item<std::int64_t>(), index);
      EXPECT_EQ(batch.labels[row].item<std::int64_t>(), index % 7);
      EXPECT_TRUE(at::equal(batch.images[row], decode_alone(*set, index))) << index;
    }
  }
  EXPECT_EQ(index, 53);
  Batch after;
  EXPECT_FALSE(loader.next(after));
  EXPECT_GE(loader.wait_seconds(), 0.0);
}

TEST(Loader, ContentDoesNotDependOnThreads) {
  const auto set = std::make_shared<MemorySet>(130);
  Loader reference(set, train_plan(*set, 32), options_with(0, true));
  const auto wanted = drain(reference);
  ASSERT_EQ(wanted.size(), 4u);
  for (const int threads : {1, 3, 8}) {
    Loader loader(set, train_plan(*set, 32), options_with(threads, true));
    expect_same(drain(loader), wanted);
  }
}

TEST(Loader, FlipsHalfOfTheSamplesByKey) {
  const auto set = std::make_shared<MemorySet>(600);
  std::vector<std::vector<bool>> flipped;
  for (const std::int64_t epoch : {0, 1}) {
    Loader loader(set, train_plan(*set, 60, 0, 1, epoch), options_with(2, true));
    flipped.emplace_back(600);
    for (const Batch& batch : drain(loader)) {
      for (std::int64_t row = 0; row < 60; ++row) {
        const auto index = batch.indices[row].item<std::int64_t>();
        const at::Tensor original = decode_alone(*set, index);
        const bool mirrored = !at::equal(batch.images[row], original);
        if (mirrored) {
          ASSERT_TRUE(at::equal(batch.images[row], original.flip({1}))) << index;
        }
        flipped.back()[static_cast<std::size_t>(index)] = mirrored;
      }
    }
    EXPECT_NEAR(static_cast<double>(std::ranges::count(flipped.back(), true)), 300.0,
                62.0);  // 5 standard deviations
  }
  int changed = 0;
  for (std::size_t i = 0; i < 600; ++i) changed += flipped[0][i] != flipped[1][i] ? 1 : 0;
  EXPECT_NEAR(changed, 300, 62);
}

TEST(Loader, RanksTogetherDeliverTheBatchOfOneRank) {
  const auto set = std::make_shared<MemorySet>(70);
  Loader whole(set, train_plan(*set, 32), options_with(2, true));
  const auto wanted = drain(whole);
  Loader first(set, train_plan(*set, 32, 0, 3), options_with(2, true));
  Loader second(set, train_plan(*set, 32, 1, 3), options_with(1, true));
  Loader third(set, train_plan(*set, 32, 2, 3), options_with(0, true));
  test::expect_ranks_share(wanted, {&first, &second, &third});
}

TEST(Loader, StartsInMidEpoch) {
  const auto set = std::make_shared<MemorySet>(100);
  Loader whole(set, train_plan(*set, 16), options_with(2, true));
  auto wanted = drain(whole);
  wanted.erase(wanted.begin(), wanted.begin() + 4);
  Loader resumed(set, train_plan(*set, 16), options_with(2, true), 4);
  expect_same(drain(resumed), wanted);
  Loader beyond(set, train_plan(*set, 16), options_with(2), 6);
  EXPECT_TRUE(drain(beyond).empty());
}

TEST(Loader, EmptyRankBatchesHaveTheRightShape) {
  const auto set = std::make_shared<MemorySet>(9);
  for (const int threads : {0, 2}) {
    Loader loader(set, std::make_shared<SequentialPlan>(9, 8, 0, 4), options_with(threads));
    const auto batches = drain(loader);
    ASSERT_EQ(batches.size(), 2u);
    EXPECT_EQ(batches[0].images.size(0), 2);
    EXPECT_EQ(batches[1].images.sizes(), (std::vector<std::int64_t>{0, kSide, kSide, 3}));
    EXPECT_EQ(batches[1].labels.sizes(), std::vector<std::int64_t>{0});
    EXPECT_EQ(batches[1].indices.scalar_type(), at::kLong);
  }
}

TEST(Loader, CorruptImageFailsAtItsBatchAndNamesTheRecord) {
  const auto set = std::make_shared<MemorySet>(64);
  set->images[35].resize(set->images[35].size() / 2);
  set->images[38] = test::bytes_of("rubbish");
  for (const int threads : {0, 1, 4}) {
    Loader loader(set, std::make_shared<SequentialPlan>(64, 16, 0, 1), options_with(threads));
    Batch batch;
    EXPECT_TRUE(loader.next(batch));
    EXPECT_TRUE(loader.next(batch));
    for (int again = 0; again < 2; ++again) {  // the lowest bad row, however often it is asked for
      const std::string message = test::error_of([&] { loader.next(batch); });
      EXPECT_NE(message.find("memory record 35: "), std::string::npos) << message;
    }
  }
}

TEST(Loader, OtherExceptionsTravelAsTheyAre) {
  const auto set = std::make_shared<MemorySet>(40);
  set->thrower = 3;
  for (const int threads : {0, 2}) {
    Loader loader(set, std::make_shared<SequentialPlan>(40, 8, 0, 1),
                  options_with(threads, false, OnCorrupt::kReplace));
    Batch batch;
    EXPECT_THROW(loader.next(batch), std::logic_error);
  }
}

TEST(Loader, ReplacesAndListsCorruptImages) {
  const auto set = std::make_shared<MemorySet>(64);
  set->images[5] = test::bytes_of("rubbish");
  set->images[9].clear();
  set->unreadable = 41;
  for (const int threads : {0, 1, 4}) {
    Loader loader(set, std::make_shared<SequentialPlan>(64, 32, 0, 1),
                  options_with(threads, false, OnCorrupt::kReplace));
    Batch batch;
    ASSERT_TRUE(loader.next(batch));
    EXPECT_TRUE(at::equal(batch.images[5], at::zeros({kSide, kSide, 3}, at::kByte)));
    EXPECT_TRUE(at::equal(batch.images[6], decode_alone(*set, 6)));
    EXPECT_EQ(batch.labels[5].item<std::int64_t>(), 5);
    ASSERT_EQ(loader.replaced().size(), 2u);
    EXPECT_EQ(loader.replaced()[0].find("memory record 5: not an image"), 0u)
        << loader.replaced()[0];
    EXPECT_EQ(loader.replaced()[1].find("memory record 9: "), 0u);
    ASSERT_TRUE(loader.next(batch));
    ASSERT_EQ(loader.replaced().size(), 3u);
    EXPECT_EQ(loader.replaced()[2], "memory record 41: disk on fire");
  }
}

TEST(Loader, PrefetchIsBounded) {
  const auto set = std::make_shared<MemorySet>(400);
  Loader loader(set, std::make_shared<SequentialPlan>(400, 10, 0, 1), options_with(4));
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  constexpr int kAhead = 40;  // one delivered, three in front of it
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (set->reads < kAhead && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(set->reads, kAhead);
}

TEST(Loader, OneBatchIsDecodedByAllThreads) {
  const auto set = std::make_shared<MemorySet>(64);
  set->delay_us = 4000;
  Loader loader(set, std::make_shared<SequentialPlan>(64, 64, 0, 1), options_with(4));
  Batch batch;
  ASSERT_TRUE(loader.next(batch));
  EXPECT_EQ(set->most_inside, 4);
}

TEST(Loader, DestructorDoesNotFinishTheEpoch) {
  const auto set = std::make_shared<MemorySet>(4000);
  set->delay_us = 5000;
  {
    Loader loader(set, std::make_shared<SequentialPlan>(4000, 1000, 0, 1), options_with(3));
    while (set->reads < 3) std::this_thread::yield();
  }
  EXPECT_LT(set->reads, 300);
}

TEST(Loader, CanBeDroppedAtAnyMoment) {
  const auto set = std::make_shared<MemorySet>(60);
  for (int batches = 0; batches < 12; ++batches) {
    Loader loader(set, std::make_shared<SequentialPlan>(60, 5, 0, 1), options_with(3));
    Batch batch;
    for (int i = 0; i < batches; ++i) ASSERT_TRUE(loader.next(batch));
  }
}

TEST(Loader, RefusesImpossibleOptions) {
  const auto set = std::make_shared<MemorySet>(4);
  const auto plan = std::make_shared<SequentialPlan>(4, 2, 0, 1);
  LoaderOptions options = options_with(-1);
  EXPECT_THROW(Loader(set, plan, options), DataError);
  options = options_with(1);
  options.prefetch_batches = 0;
  EXPECT_THROW(Loader(set, plan, options), DataError);
  EXPECT_THROW(Loader(set, plan, options_with(1), -1), DataError);
}

}  // namespace
}  // namespace diffprob::data

#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "data/error.h"
#include "data/images/jpeg_decoder.h"
#include "data/loading/loader.h"

namespace diffprob::data::test {

inline constexpr int kSide = 24;

/// Samples in memory; the left part of image i is dark, the right part bright, and the middle
/// depends on i.
class MemorySet final : public Dataset {
 public:
  explicit MemorySet(std::int64_t size) {
    for (std::int64_t i = 0; i < size; ++i) {
      std::vector<std::uint8_t> rgb;
      for (int pixel = 0; pixel < kSide * kSide; ++pixel) {
        const int x = pixel % kSide;
        for (int c = 0; c < 3; ++c)
          rgb.push_back(static_cast<std::uint8_t>(x < 8     ? 20
                                                  : x >= 16 ? 220
                                                            : (i * 37 + c * 50) % 256));
      }
      images.push_back(encode_jpeg(rgb, kSide, kSide, 95));
    }
  }
  [[nodiscard]] std::int64_t size() const override {
    return static_cast<std::int64_t>(images.size());
  }
  [[nodiscard]] std::int64_t num_classes() const override { return 7; }
  [[nodiscard]] std::int64_t label(std::int64_t index) const override { return index % 7; }
  void read(std::int64_t index, std::vector<std::byte>& bytes) const override {
    if (index == unreadable) throw DataError("disk on fire");
    if (index == thrower) throw std::logic_error("not the data's fault");
    const int readers = ++inside;
    for (int most = most_inside;
         readers > most && !most_inside.compare_exchange_weak(most, readers);) {
    }
    std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
    --inside;
    ++reads;
    bytes = images[static_cast<std::size_t>(index)];
  }
  [[nodiscard]] std::string describe(std::int64_t index) const override {
    return "memory record " + std::to_string(index);
  }
  [[nodiscard]] std::string fingerprint() const override { return "memory"; }

  std::vector<std::vector<std::byte>> images;
  std::int64_t unreadable = -1;
  std::int64_t thrower = -1;
  int delay_us = 0;
  mutable std::atomic<int> reads = 0;
  mutable std::atomic<int> inside = 0;
  mutable std::atomic<int> most_inside = 0;  // readers at the same time
};

inline std::shared_ptr<const BatchPlan> train_plan(const Dataset& set, std::int64_t batch,
                                                   int rank = 0, int world = 1,
                                                   std::int64_t epoch = 0) {
  return std::make_shared<ShuffledPlan>(set.size(), batch, 11, epoch, rank, world);
}

inline std::vector<Batch> drain(Loader& loader) {
  std::vector<Batch> batches;
  Batch batch;
  while (loader.next(batch)) batches.push_back(batch);
  return batches;
}

inline void expect_same(const std::vector<Batch>& found, const std::vector<Batch>& wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(at::equal(found[i].images, wanted[i].images)) << "batch " << i;
    EXPECT_TRUE(at::equal(found[i].labels, wanted[i].labels)) << "batch " << i;
    EXPECT_TRUE(at::equal(found[i].indices, wanted[i].indices)) << "batch " << i;
  }
}

/// The batches of rank 0, 1, ... put together are those of one rank alone.
inline void expect_ranks_share(const std::vector<Batch>& wanted,
                               const std::vector<Loader*>& of_ranks) {
  for (const Batch& batch : wanted) {
    std::vector<at::Tensor> parts;
    for (Loader* loader : of_ranks) {
      Batch part;
      ASSERT_TRUE(loader->next(part));
      parts.push_back(part.images);
    }
    EXPECT_TRUE(at::equal(at::cat(parts), batch.images));
  }
}

}  // namespace diffprob::data::test

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/loading/sampler.h"
#include "data/random/keyed_random.h"
#include "data/sets/dataset.h"

namespace diffprob::data {

/// Which rows of which pass a plan gives.
struct PassOptions {
  /// Number of draws per epoch (usually the size of the set); the incomplete last batch is dropped.
  std::int64_t epoch_samples = 0;
  std::int64_t global_batch = 0;
  std::uint64_t seed = 0;
  std::int64_t epoch = 0;
  int rank = 0;
  int world_size = 1;
};

/// Plans that draw each place of an epoch on its own, by (seed, epoch, place): a sample may come
/// several times an epoch, or not at all. Augmentation is keyed by the place too, so that such
/// copies differ.
class WithReplacementPlan : public EpochPlan {
 public:
  /// Throws DataError when epoch_samples < global_batch, or a number is out of range.
  explicit WithReplacementPlan(const PassOptions& pass);
  [[nodiscard]] std::int64_t num_batches() const final;
  void indices(std::int64_t batch, std::vector<std::int64_t>& out) const final;
  [[nodiscard]] std::uint64_t key() const final { return augment_key_; }
  [[nodiscard]] std::uint64_t augment_key(std::int64_t batch, std::int64_t row,
                                          std::int64_t index) const final;
  [[nodiscard]] std::int64_t places() const final { return epoch_samples_; }
  [[nodiscard]] std::int64_t sample_at(std::int64_t place) const final { return draw(place); }
  [[nodiscard]] std::uint64_t augment_key_at(std::int64_t place, std::int64_t index) const final;

 protected:
  [[nodiscard]] std::uint64_t order_key() const noexcept { return order_key_; }

 private:
  /// The sample at this place of the epoch.
  [[nodiscard]] virtual std::int64_t draw(std::int64_t place) const = 0;
  [[nodiscard]] std::int64_t place_of(std::int64_t batch, std::int64_t row) const noexcept;

  std::int64_t epoch_samples_;
  std::int64_t global_batch_;
  RowRange rows_;
  std::uint64_t order_key_;
  std::uint64_t augment_key_;
};

/// Draws i with probability weight[i] / sum in O(1) (Walker's alias method, built as Vose does). 8
/// bytes a sample; made once, shared by epochs.
class AliasTable {
 public:
  /// At most 2^32 weights, finite, at least 0, not all 0. Throws DataError that names the sample.
  explicit AliasTable(std::span<const float> weights);
  [[nodiscard]] std::int64_t size() const noexcept {
    return static_cast<std::int64_t>(columns_.size());
  }
  [[nodiscard]] std::int64_t draw(KeyedRandom random) const noexcept;

 private:
  /// Gives its own number when 32 random bits are below `threshold`, else `alias`.
  struct Column {
    std::uint32_t threshold;
    std::uint32_t alias;
  };
  std::vector<Column> columns_;
};

/// Weight of a sample by the size n of its class: n^-power. 0: all alike; 1: classes alike; 0.5
/// between.
[[nodiscard]] std::vector<float> class_size_weights(const Dataset& dataset, double power);

/// Independent draws by weight, with replacement.
class WeightedPlan final : public WithReplacementPlan {
 public:
  WeightedPlan(std::shared_ptr<const AliasTable> table, const PassOptions& pass);

 private:
  [[nodiscard]] std::int64_t draw(std::int64_t place) const override;

  std::shared_ptr<const AliasTable> table_;
};

/// Samples grouped by class: 4 bytes a sample and 8 a class; made once, shared by epochs. Classes
/// without samples are left out.
class ClassIndex {
 public:
  /// Throws DataError on an empty set or one of more than 2^32 samples.
  explicit ClassIndex(const Dataset& dataset);
  [[nodiscard]] std::int64_t num_classes() const noexcept {
    return static_cast<std::int64_t>(starts_.size()) - 1;
  }
  /// Of the n-th class that has any, ascending.
  [[nodiscard]] std::span<const std::uint32_t> samples(std::int64_t n) const noexcept;

 private:
  std::vector<std::int64_t> starts_;
  std::vector<std::uint32_t> samples_;
};

/// Every class equally often: round after round, each in a fresh order of the classes; a class
/// gives its samples in a random order without repeating one before all had their turn. Over an
/// epoch class counts differ by at most 1.
class ClassBalancedPlan final : public WithReplacementPlan {
 public:
  ClassBalancedPlan(std::shared_ptr<const ClassIndex> classes, const PassOptions& pass);

 private:
  [[nodiscard]] std::int64_t draw(std::int64_t place) const override;

  std::shared_ptr<const ClassIndex> classes_;
};

}  // namespace diffprob::data

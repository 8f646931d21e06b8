#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace diffprob::data {

/// A keyed bijection of [0, size) in O(1) memory: a balanced Feistel network over the next even
/// power of two, with cycle walking.
class Permutation {
 public:
  Permutation(std::int64_t size, std::uint64_t key);
  [[nodiscard]] std::int64_t operator()(std::int64_t position) const noexcept;

 private:
  std::int64_t size_;
  std::uint64_t half_bits_;
  std::uint64_t half_mask_;
  std::uint64_t round_keys_[6];
};

/// Rows [begin, end) of a global batch that belong to `rank`: B*r/W .. B*(r+1)/W. With a unit,
/// ranks share whole units of so many rows, the last of which may be short.
struct RowRange {
  std::int64_t begin;
  std::int64_t end;
};
[[nodiscard]] RowRange rows_of_rank(std::int64_t global_batch, int rank, int world_size,
                                    std::int64_t unit = 1);

/// Whether random flipping mirrors the row of this augmentation key (BatchPlan::augment_key): p =
/// 0.5.
[[nodiscard]] bool is_mirrored(std::uint64_t augment_key) noexcept;

/// The order of samples: a function of (seed, epoch) alone. Global batch k of an epoch holds the
/// same samples for any number of ranks.
class BatchPlan {
 public:
  virtual ~BatchPlan() = default;
  [[nodiscard]] virtual std::int64_t num_batches() const = 0;
  /// Sample indices of this rank's rows of global batch k, in row order.
  virtual void indices(std::int64_t batch, std::vector<std::int64_t>& out) const = 0;
  /// Key of the augmentation streams of this pass (seed and epoch mixed).
  [[nodiscard]] virtual std::uint64_t key() const = 0;
  /// Key of one row's augmentation (`row` counts this rank's rows of the batch). By the sample
  /// alone, unless a plan may give a sample twice a pass.
  [[nodiscard]] virtual std::uint64_t augment_key(std::int64_t batch, std::int64_t row,
                                                  std::int64_t index) const;
};

/// A plan of one epoch of training, whose samples are known place by place: global batch k has the
/// places from k B on.
class EpochPlan : public BatchPlan {
 public:
  /// Those of the incomplete last batch count.
  [[nodiscard]] virtual std::int64_t places() const = 0;
  [[nodiscard]] virtual std::int64_t sample_at(std::int64_t place) const = 0;
  /// augment_key() of the row that has this place.
  [[nodiscard]] virtual std::uint64_t augment_key_at(std::int64_t place,
                                                     std::int64_t index) const = 0;
};

/// Training: a fresh permutation an epoch, the incomplete last batch dropped.
class ShuffledPlan final : public EpochPlan {
 public:
  /// Throws DataError when size < global_batch.
  ShuffledPlan(std::int64_t size, std::int64_t global_batch, std::uint64_t seed, std::int64_t epoch,
               int rank, int world_size);
  [[nodiscard]] std::int64_t num_batches() const override;
  void indices(std::int64_t batch, std::vector<std::int64_t>& out) const override;
  [[nodiscard]] std::uint64_t key() const override { return key_; }
  [[nodiscard]] std::int64_t places() const override { return size_; }
  [[nodiscard]] std::int64_t sample_at(std::int64_t place) const override {
    return permutation_(place);
  }
  [[nodiscard]] std::uint64_t augment_key_at(std::int64_t place, std::int64_t index) const override;

 private:
  Permutation permutation_;
  std::int64_t size_;
  std::int64_t global_batch_;
  RowRange rows_;
  std::uint64_t key_;
};

/// Scoring and evaluation: every sample exactly once, in order; the last batch may be smaller (and
/// may be empty on some ranks).
class SequentialPlan final : public BatchPlan {
 public:
  SequentialPlan(std::int64_t size, std::int64_t global_batch, int rank, int world_size);
  [[nodiscard]] std::int64_t num_batches() const override;
  void indices(std::int64_t batch, std::vector<std::int64_t>& out) const override;
  [[nodiscard]] std::uint64_t key() const override { return 0; }

 private:
  std::int64_t size_;
  std::int64_t global_batch_;
  int rank_;
  int world_size_;
};

/// Each batch one of the given ranges of consecutive samples, which the ranks share in whole units
/// of rows.
class RangePlan final : public BatchPlan {
 public:
  RangePlan(std::vector<RowRange> batches, std::int64_t unit, int rank, int world_size);
  [[nodiscard]] std::int64_t num_batches() const override {
    return static_cast<std::int64_t>(batches_.size());
  }
  void indices(std::int64_t batch, std::vector<std::int64_t>& out) const override;
  [[nodiscard]] std::uint64_t key() const override { return 0; }

 private:
  std::vector<RowRange> batches_;
  std::int64_t unit_;
  int rank_;
  int world_size_;
};

}  // namespace diffprob::data

#include "data/loading/sampler.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "data/error.h"
#include "data/random/keyed_random.h"

namespace diffprob::data {

Permutation::Permutation(std::int64_t size, std::uint64_t key) : size_(size) {
  if (size < 1)
    throw DataError("permutation of " + std::to_string(size) + " samples: at least 1 is needed");
  const auto bits =
      static_cast<std::uint64_t>(std::bit_width(static_cast<std::uint64_t>(size) - 1));
  half_bits_ = std::max<std::uint64_t>(1, (bits + 1) / 2);
  half_mask_ = (std::uint64_t{1} << half_bits_) - 1;
  KeyedRandom random(key);
  for (auto& round_key : round_keys_) round_key = random.bits();
}

std::int64_t Permutation::operator()(std::int64_t position) const noexcept {
  auto x = static_cast<std::uint64_t>(position);
  do {  // walks the cycle until it is back inside [0, size): fewer than 4 steps on average
    std::uint64_t left = x >> half_bits_;
    std::uint64_t right = x & half_mask_;
    for (const auto round_key : round_keys_) {
      const std::uint64_t next = left ^ (splitmix64(right + round_key) & half_mask_);
      left = right;
      right = next;
    }
    x = (left << half_bits_) | right;
  } while (x >= static_cast<std::uint64_t>(size_));
  return static_cast<std::int64_t>(x);
}

RowRange rows_of_rank(std::int64_t global_batch, int rank, int world_size, std::int64_t unit) {
  const std::int64_t units = (global_batch + unit - 1) / unit;
  const auto border = [&](int r) { return std::min(global_batch, units * r / world_size * unit); };
  return {border(rank), border(rank + 1)};
}

std::uint64_t BatchPlan::augment_key(std::int64_t /*batch*/, std::int64_t /*row*/,
                                     std::int64_t index) const {
  return combine_key(key(), static_cast<std::uint64_t>(index));
}

bool is_mirrored(std::uint64_t augment_key) noexcept {
  return KeyedRandom(augment_key).uniform() < 0.5f;
}

ShuffledPlan::ShuffledPlan(std::int64_t size, std::int64_t global_batch, std::uint64_t seed,
                           std::int64_t epoch, int rank, int world_size)
    : permutation_(size, combine_key(seed, static_cast<std::uint64_t>(epoch))),
      size_(size),
      global_batch_(global_batch),
      rows_(rows_of_rank(global_batch, rank, world_size)),
      key_(combine_key(combine_key(seed, key_of_name("augment")),
                       static_cast<std::uint64_t>(epoch))) {
  if (global_batch < 1 || size < global_batch) {
    throw DataError("the training set has " + std::to_string(size) +
                    " samples, fewer than one global batch of " + std::to_string(global_batch) +
                    ": lower train.batch_size");
  }
}

std::int64_t ShuffledPlan::num_batches() const {
  return size_ / global_batch_;
}

void ShuffledPlan::indices(std::int64_t batch, std::vector<std::int64_t>& out) const {
  out.clear();
  for (std::int64_t row = rows_.begin; row < rows_.end; ++row)
    out.push_back(permutation_(batch * global_batch_ + row));
}

std::uint64_t ShuffledPlan::augment_key_at(std::int64_t /*place*/, std::int64_t index) const {
  return augment_key(0, 0, index);
}

SequentialPlan::SequentialPlan(std::int64_t size, std::int64_t global_batch, int rank,
                               int world_size)
    : size_(size), global_batch_(global_batch), rank_(rank), world_size_(world_size) {
  if (global_batch < 1)
    throw DataError("global batch of " + std::to_string(global_batch) +
                    " samples: at least 1 is needed");
}

std::int64_t SequentialPlan::num_batches() const {
  return (size_ + global_batch_ - 1) / global_batch_;
}

void SequentialPlan::indices(std::int64_t batch, std::vector<std::int64_t>& out) const {
  const std::int64_t first = batch * global_batch_;
  const RowRange rows = rows_of_rank(std::min(global_batch_, size_ - first), rank_, world_size_);
  out.clear();
  for (std::int64_t row = rows.begin; row < rows.end; ++row) out.push_back(first + row);
}

RangePlan::RangePlan(std::vector<RowRange> batches, std::int64_t unit, int rank, int world_size)
    : batches_(std::move(batches)), unit_(unit), rank_(rank), world_size_(world_size) {}

void RangePlan::indices(std::int64_t batch, std::vector<std::int64_t>& out) const {
  const RowRange& range = batches_[static_cast<std::size_t>(batch)];
  const RowRange rows = rows_of_rank(range.end - range.begin, rank_, world_size_, unit_);
  out.clear();
  for (std::int64_t row = rows.begin; row < rows.end; ++row) out.push_back(range.begin + row);
}

}  // namespace diffprob::data

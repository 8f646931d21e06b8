#include "data/loading/weighted_sampler.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "data/error.h"

namespace diffprob::data {
namespace {

constexpr std::size_t kMostSamples = std::size_t{1} << 32;
constexpr double kFull = 0x1p32;

void check_count(std::size_t samples) {
  if (samples < 1 || samples > kMostSamples)
    throw DataError("sampling from " + std::to_string(samples) + " samples: 1 to " +
                    std::to_string(kMostSamples) + " are supported");
}

double checked_sum(std::span<const float> weights) {
  double sum = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] >= 0.0f) || !std::isfinite(weights[i]))
      throw DataError("sampling weight of sample " + std::to_string(i) + " is " +
                      std::to_string(weights[i]) + ", expected a finite number of at least 0");
    sum += static_cast<double>(weights[i]);
  }
  if (sum <= 0.0)
    throw DataError("sampling weights: all " + std::to_string(weights.size()) + " are 0");
  return sum;
}

std::vector<std::int64_t> class_sizes(const Dataset& dataset) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(dataset.num_classes()));
  for (std::int64_t i = 0; i < dataset.size(); ++i)
    ++sizes[static_cast<std::size_t>(dataset.label(i))];
  return sizes;
}

}  // namespace

WithReplacementPlan::WithReplacementPlan(const PassOptions& pass)
    : epoch_samples_(pass.epoch_samples),
      global_batch_(pass.global_batch),
      order_key_(combine_key(combine_key(pass.seed, key_of_name("draw")),
                             static_cast<std::uint64_t>(pass.epoch))),
      augment_key_(combine_key(combine_key(pass.seed, key_of_name("augment")),
                               static_cast<std::uint64_t>(pass.epoch))) {
  if (pass.global_batch < 1 || pass.epoch_samples < pass.global_batch)
    throw DataError("an epoch of " + std::to_string(pass.epoch_samples) +
                    " samples, fewer than one global batch of " +
                    std::to_string(pass.global_batch) + ": lower train.batch_size");
  if (pass.world_size < 1 || pass.rank < 0 || pass.rank >= pass.world_size)
    throw DataError("rank " + std::to_string(pass.rank) + " of " + std::to_string(pass.world_size));
  rows_ = rows_of_rank(global_batch_, pass.rank, pass.world_size);
}

std::int64_t WithReplacementPlan::num_batches() const {
  return epoch_samples_ / global_batch_;
}

std::int64_t WithReplacementPlan::place_of(std::int64_t batch, std::int64_t row) const noexcept {
  return batch * global_batch_ + rows_.begin + row;
}

void WithReplacementPlan::indices(std::int64_t batch, std::vector<std::int64_t>& out) const {
  out.clear();
  for (std::int64_t row = 0; row < rows_.end - rows_.begin; ++row)
    out.push_back(draw(place_of(batch, row)));
}

std::uint64_t WithReplacementPlan::augment_key(std::int64_t batch, std::int64_t row,
                                               std::int64_t index) const {
  return augment_key_at(place_of(batch, row), index);
}

std::uint64_t WithReplacementPlan::augment_key_at(std::int64_t place, std::int64_t index) const {
  return combine_key(combine_key(augment_key_, static_cast<std::uint64_t>(index)),
                     static_cast<std::uint64_t>(place));
}

AliasTable::AliasTable(std::span<const float> weights) {
  check_count(weights.size());
  const double scale = static_cast<double>(weights.size()) / checked_sum(weights);
  const auto heaviest =
      static_cast<std::uint32_t>(std::ranges::max_element(weights) - weights.begin());
  columns_.resize(weights.size());
  std::vector<double> share(weights.size());  // of a column's height; above 1: can still give
  std::vector<std::uint32_t> light, heavy;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    share[i] = static_cast<double>(weights[i]) * scale;
    (share[i] < 1.0 ? light : heavy).push_back(static_cast<std::uint32_t>(i));
  }
  while (!light.empty() && !heavy.empty()) {
    const auto taker = light.back();
    const auto giver = heavy.back();
    light.pop_back();
    columns_[taker] = {static_cast<std::uint32_t>(share[taker] * kFull), giver};
    share[giver] -= 1.0 - share[taker];
    if (share[giver] >= 1.0) continue;
    heavy.pop_back();
    light.push_back(giver);
  }
  for (const auto rest : heavy) columns_[rest] = {0, rest};
  // Left over by rounding alone: full columns, but for those of weight 0, which must never come.
  for (const auto rest : light) columns_[rest] = {0, weights[rest] > 0.0f ? rest : heaviest};
}

std::int64_t AliasTable::draw(KeyedRandom random) const noexcept {
  const auto at = random.below(columns_.size());
  const Column column = columns_[at];
  return static_cast<std::int64_t>((random.bits() >> 32) < column.threshold ? at : column.alias);
}

std::vector<float> class_size_weights(const Dataset& dataset, double power) {
  const auto sizes = class_sizes(dataset);
  std::vector<float> weights(static_cast<std::size_t>(dataset.size()));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto label = static_cast<std::size_t>(dataset.label(static_cast<std::int64_t>(i)));
    weights[i] = static_cast<float>(std::pow(static_cast<double>(sizes[label]), -power));
  }
  return weights;
}

WeightedPlan::WeightedPlan(std::shared_ptr<const AliasTable> table, const PassOptions& pass)
    : WithReplacementPlan(pass), table_(std::move(table)) {}

std::int64_t WeightedPlan::draw(std::int64_t place) const {
  return table_->draw(KeyedRandom(combine_key(order_key(), static_cast<std::uint64_t>(place))));
}

ClassIndex::ClassIndex(const Dataset& dataset) {
  check_count(static_cast<std::size_t>(dataset.size()));
  // First the sizes, then where the class's next sample goes.
  std::vector<std::int64_t> next = class_sizes(dataset);
  starts_.push_back(0);
  for (auto& size : next) {
    const auto start = starts_.back();
    if (size > 0) starts_.push_back(start + size);
    size = start;
  }
  starts_.shrink_to_fit();
  samples_.resize(static_cast<std::size_t>(dataset.size()));
  for (std::int64_t i = 0; i < dataset.size(); ++i) {
    auto& at = next[static_cast<std::size_t>(dataset.label(i))];
    samples_[static_cast<std::size_t>(at++)] = static_cast<std::uint32_t>(i);
  }
}

std::span<const std::uint32_t> ClassIndex::samples(std::int64_t n) const noexcept {
  const auto at = static_cast<std::size_t>(n);
  return std::span(samples_).subspan(static_cast<std::size_t>(starts_[at]),
                                     static_cast<std::size_t>(starts_[at + 1] - starts_[at]));
}

ClassBalancedPlan::ClassBalancedPlan(std::shared_ptr<const ClassIndex> classes,
                                     const PassOptions& pass)
    : WithReplacementPlan(pass), classes_(std::move(classes)) {}

std::int64_t ClassBalancedPlan::draw(std::int64_t place) const {
  const auto count = classes_->num_classes();
  const auto round = place / count;
  const Permutation order(count, combine_key(combine_key(order_key(), key_of_name("classes")),
                                             static_cast<std::uint64_t>(round)));
  const auto chosen = order(place % count);
  const auto samples = classes_->samples(chosen);
  const auto size = static_cast<std::int64_t>(samples.size());
  const auto of_class = combine_key(combine_key(order_key(), key_of_name("samples")),
                                    static_cast<std::uint64_t>(chosen));
  const Permutation within(size, combine_key(of_class, static_cast<std::uint64_t>(round / size)));
  return samples[static_cast<std::size_t>(within(round % size))];
}

}  // namespace diffprob::data

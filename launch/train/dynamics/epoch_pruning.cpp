#include "launch/train/dynamics/epoch_pruning.h"

#include <ATen/ATen.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "data/random/keyed_random.h"

namespace diffprob::launch {

EpochPruning::EpochPruning(const Config& config, std::shared_ptr<const data::Dataset> dataset,
                           std::uint64_t seed, Runtime& runtime)
    : config_(config), dataset_(std::move(dataset)), seed_(seed), runtime_(runtime) {}

/// Words of this rank's share of the places; shares meet between words.
std::vector<std::uint64_t> EpochPruning::kept_words(std::int64_t epoch,
                                                    const data::EpochPlan& whole) const {
  const std::uint64_t key =
      data::combine_key(data::combine_key(seed_, data::key_of_name("train.prune")),
                        static_cast<std::uint64_t>(epoch));
  const auto ratio = static_cast<float>(config_.train.epoch_pruning.ratio);
  const std::int64_t words = (whole.places() + 63) / 64;
  const prune::SampleRange own =
      prune::samples_of_rank(words, runtime_.rank(), runtime_.world_size());
  std::vector<std::uint64_t> kept(static_cast<std::size_t>(own.size()));
  const std::int64_t last = std::min(own.last * 64, whole.places());
  for (std::int64_t place = own.first * 64; place < last; ++place) {
    const bool stays =
        !easy_.test(whole.sample_at(place)) ||
        data::KeyedRandom(data::combine_key(key, static_cast<std::uint64_t>(place))).uniform() >=
            ratio;
    if (stays)
      kept[static_cast<std::size_t>(place / 64 - own.first)] |= std::uint64_t{1} << (place % 64);
  }
  return kept;
}

std::shared_ptr<const data::KeptPlaces> EpochPruning::begin_epoch(
    std::int64_t epoch, const data::EpochPlan& whole, const prune::DynamicsState& dynamics) {
  const prune::EpochPruningOptions& options = config_.train.epoch_pruning;
  prunes_ = false;
  if (!prune::prunes_epoch(options, epoch, config_.train.epochs)) return nullptr;
  easy_ = prune::easy_samples(
      dynamics, options.rule, dataset_->size(), [&](std::int64_t i) { return dataset_->label(i); },
      dataset_->num_classes(), runtime_.control());
  const auto own = kept_words(epoch, whole);
  auto kept = std::make_shared<const data::KeptPlaces>(
      runtime_.control().all_gather_v(std::span<const std::uint64_t>(own)), whole.places());
  if (kept->count() < config_.train.batch_size) {
    spdlog::warn("train.prune: epoch {} would have {} of {} images, fewer than a batch: it has all",
                 epoch + 1, kept->count(), whole.places());
    return nullptr;
  }
  prunes_ = true;
  spdlog::info("train.prune: epoch {} trains on {} of {} images ({:.1f} %)", epoch + 1,
               kept->count(), whole.places(),
               100.0 * static_cast<double>(kept->count()) / static_cast<double>(whole.places()));
  return kept;
}

at::Tensor EpochPruning::weights_of(const at::Tensor& indices) const {
  if (!prunes_) return {};
  const at::Tensor weights = at::empty(
      indices.sizes(), at::TensorOptions(at::kFloat).pinned_memory(runtime_.device().is_cuda()));
  const auto heavier = static_cast<float>(1 / (1 - config_.train.epoch_pruning.ratio));
  const at::Tensor samples = indices.contiguous();
  for (std::int64_t i = 0; i < samples.numel(); ++i)
    weights.mutable_data_ptr<float>()[i] =
        easy_.test(samples.const_data_ptr<std::int64_t>()[i]) ? heavier : 1.0F;
  return weights;
}

}  // namespace diffprob::launch

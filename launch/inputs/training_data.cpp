#include "launch/inputs/training_data.h"

#include <spdlog/spdlog.h>

#include "data/loading/filtered_plan.h"
#include "launch/inputs/resident_batches.h"

namespace diffprob::launch {
namespace {

data::AugmentOptions augmentation(const AugmentConfig& config) {
  data::AugmentOptions options = data::augmentation(config.preset);
  const auto replace = [](float& probability, double given) {
    if (given >= 0) probability = static_cast<float>(given);
  };
  replace(options.crop_probability, config.crop);
  replace(options.low_resolution_probability, config.low_resolution);
  replace(options.blur_probability, config.blur);
  replace(options.photometric_probability, config.photometric);
  replace(options.grayscale_probability, config.grayscale);
  return options;
}

}  // namespace

data::LoaderOptions loader_options(const Config& config, const Runtime& runtime) {
  data::LoaderOptions options = config.data.loader;
  options.flip = false;
  options.pin_memory = runtime.device().is_cuda();
  return options;
}

TrainingData::TrainingData(const Config& config, std::shared_ptr<const data::Dataset> dataset,
                           std::uint64_t seed, Runtime& runtime)
    : config_(config),
      dataset_(std::move(dataset)),
      seed_(seed),
      runtime_(runtime),
      options_(loader_options(config, runtime)) {
  options_.flip = config.data.loader.flip;
  options_.augment = augmentation(config.augment);
  use_resident_ = wants_resident();
  if (!use_resident_)
    options_.cache = data::DecodedCache::when_it_fits(dataset_->size(), options_.image_size,
                                                      config.data.cache_gib);
  if (options_.cache) {
    spdlog::info(
        "decoded images are kept in memory: {:.2f} GiB per rank when full",
        static_cast<double>(data::DecodedCache::bytes_for(dataset_->size(), options_.image_size)) /
            kBytesPerGibibyte);
  }
  const data::SamplingOptions& sampling = config.data.sampling;
  if (sampling.kind == data::Sampling::kWeighted) {
    weights_ =
        std::make_shared<data::AliasTable>(data::class_size_weights(*dataset_, sampling.power));
  }
  if (sampling.kind == data::Sampling::kBalanced)
    by_class_ = std::make_shared<data::ClassIndex>(*dataset_);
  steps_per_epoch_ = plan(0, runtime.rank(), runtime.world_size())->num_batches();
}

bool TrainingData::wants_resident() const {
  if (config_.data.resident_gib <= 0) return false;
  if (options_.augment.any()) {
    spdlog::info(
        "data.resident_gib={:g} is not used: augment.* changes images in ways other than data.flip",
        config_.data.resident_gib);
    return false;
  }
  const double needed =
      static_cast<double>(ResidentImages::bytes_for(dataset_->size(), options_.image_size)) /
      kBytesPerGibibyte;
  if (needed <= config_.data.resident_gib) return true;
  spdlog::info("data.resident_gib={:g} is not used: {} decoded images are {:.2f} GiB",
               config_.data.resident_gib, dataset_->size(), needed);
  return false;
}

std::shared_ptr<const data::EpochPlan> TrainingData::whole_epoch(std::int64_t epoch, int rank,
                                                                 int world_size) const {
  const data::PassOptions pass{dataset_->size(), config_.train.batch_size, seed_, epoch, rank,
                               world_size};
  if (weights_) return std::make_shared<data::WeightedPlan>(weights_, pass);
  if (by_class_) return std::make_shared<data::ClassBalancedPlan>(by_class_, pass);
  return std::make_shared<data::ShuffledPlan>(pass.epoch_samples, pass.global_batch, seed_, epoch,
                                              rank, world_size);
}

std::shared_ptr<const data::BatchPlan> TrainingData::plan(std::int64_t epoch, int rank,
                                                          int world_size) const {
  auto whole = whole_epoch(epoch, rank, world_size);
  if (!kept_) return whole;
  return std::make_shared<data::FilteredPlan>(std::move(whole), kept_, config_.train.batch_size,
                                              rank, world_size);
}

std::int64_t TrainingData::keep(std::shared_ptr<const data::KeptPlaces> places) {
  kept_ = std::move(places);
  return kept_ ? kept_->count() / config_.train.batch_size : steps_per_epoch_;
}

std::unique_ptr<data::BatchStream> TrainingData::loader(std::int64_t epoch,
                                                        std::int64_t first_batch) {
  auto order = plan(epoch, runtime_.rank(), runtime_.world_size());
  if (use_resident_ && !resident_)
    resident_ = std::make_shared<ResidentImages>(dataset_, options_, runtime_);
  if (resident_)
    return std::make_unique<ResidentBatches>(resident_, dataset_, std::move(order), options_.flip,
                                             first_batch);
  return std::make_unique<data::Loader>(dataset_, std::move(order), options_, first_batch);
}

std::vector<std::int64_t> TrainingData::global_batch(std::int64_t epoch, std::int64_t batch) const {
  std::vector<std::int64_t> indices;
  plan(epoch, 0, 1)->indices(batch, indices);
  return indices;
}

}  // namespace diffprob::launch

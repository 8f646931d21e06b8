#include "launch/inputs/resident_images.h"

#include <ATen/ATen.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>

#include <unistd.h>

#include "data/error.h"
#include "data/loading/sampler.h"
#include "dist/mpi/agreement.h"
#include "launch/observe/memory_use.h"
#include "launch/observe/progress.h"

namespace diffprob::launch {
namespace {

constexpr std::int64_t kChunkBytes = 32 << 20;   // of images that all ranks decode together
constexpr std::int64_t kLeastImagesOfARank = 8;  // of a chunk
constexpr int kSharesAhead = 2;

at::Tensor make_memory(std::int64_t samples, std::int64_t side, at::Device device) {
  try {
    return at::empty({samples, side, side, 3}, at::TensorOptions(at::kByte).device(device));
  } catch (const c10::Error& error) {
    throw data::DataError(c10::str(
        "data.resident_gib: ", samples, " decoded images need ",
        ResidentImages::bytes_for(samples, static_cast<int>(side)), " bytes, which ", device,
        " does not have; lower data.resident_gib, or set it to 0 to decode every time (",
        error.what_without_backtrace(), ")"));
  }
}

data::LoaderOptions plain(data::LoaderOptions options) {
  options.prefetch_batches = std::min(options.prefetch_batches, kSharesAhead);
  options.flip = false;
  options.augment = {};
  options.cache = nullptr;
  return options;
}

}  // namespace

std::int64_t ResidentImages::bytes_for(std::int64_t samples, int image_size) noexcept {
  return samples * image_size * image_size * 3;
}

ResidentImages::ResidentImages(std::shared_ptr<const data::Dataset> dataset,
                               const data::LoaderOptions& options, Runtime& runtime) {
  dist::together<data::DataError>(runtime.control(), [&] {
    images_ = make_memory(dataset->size(), options.image_size, runtime.device());
  });
  fill(dataset, plain(options), runtime);
}

ResidentImages::~ResidentImages() {
  const at::Device device = images_.device();
  images_.reset();
  give_back_kept_memory(device);
}

void ResidentImages::fill(const std::shared_ptr<const data::Dataset>& dataset,
                          const data::LoaderOptions& options, Runtime& runtime) {
  const std::int64_t size = dataset->size();
  const std::int64_t chunk = std::max(kChunkBytes / bytes_for(1, options.image_size),
                                      kLeastImagesOfARank * runtime.world_size());
  const auto order =
      std::make_shared<data::SequentialPlan>(size, chunk, runtime.rank(), runtime.world_size());
  std::optional<data::Loader> loader;
  std::optional<Progress> progress;
  if (runtime.is_root())
    progress.emplace("decode into memory of " + runtime.device().str(), size, "images",
                     ::isatty(2) != 0);
  for (std::int64_t begin = 0; begin < size; begin += chunk) {
    data::Batch share;
    const auto decode = [&] {
      if (!loader) loader.emplace(dataset, order, options);
      TORCH_CHECK(loader->next(share), "decoded images end at ", begin, ", expected ", size);
    };
    dist::together<data::DataError>(runtime.control(), decode);
    const std::int64_t end = std::min(begin + chunk, size);
    const at::Tensor own =
        share.images.to(runtime.device(), /*non_blocking=*/share.images.is_pinned());
    runtime.tensors()
        .all_gather_v(images_.narrow(0, begin, end - begin), own,
                      runtime.rows_per_rank(end - begin))
        ->wait_host();
    if (progress) progress->advance(end);
  }
  if (progress) progress->finish();
  if (!loader) return;
  for (const auto& what : loader->replaced()) spdlog::warn("unreadable image replaced: {}", what);
}

}  // namespace diffprob::launch

#include "launch/pipeline/image_bytes.h"

#include <spdlog/spdlog.h>

#include <array>
#include <span>
#include <vector>

#include "prune/tables/dynamics.h"

namespace diffprob::launch {
namespace {

std::vector<bool> kept_samples(const prune::IndexSet& set, std::int64_t num_samples) {
  std::vector<bool> kept(static_cast<std::size_t>(num_samples));
  for (const std::int64_t index : set.kept) kept.at(static_cast<std::size_t>(index)) = true;
  return kept;
}

/// {all, kept} of the samples of one rank; {-1, -1}: unknown.
std::array<std::int64_t, 2> own_bytes(const data::Dataset& dataset, const std::vector<bool>& kept,
                                      prune::SampleRange own) {
  std::array<std::int64_t, 2> sums{};
  try {
    for (std::int64_t i = own.first; i < own.last; ++i) {
      const auto bytes = dataset.encoded_bytes(i);
      if (!bytes) return {-1, -1};
      sums[0] += *bytes;
      if (kept[static_cast<std::size_t>(i)]) sums[1] += *bytes;
    }
  } catch (const std::exception& error) {
    spdlog::warn("the bytes of the images are not counted: {}", error.what());
    return {-1, -1};
  }
  return sums;
}

}  // namespace

std::optional<ImageBytes> image_bytes(const data::Dataset& dataset, const prune::IndexSet& set,
                                      dist::HostCollectives& control) {
  auto sums =
      own_bytes(dataset, kept_samples(set, dataset.size()),
                prune::samples_of_rank(dataset.size(), control.rank(), control.world_size()));
  const std::int64_t unknown =
      control.all_reduce(std::int64_t{sums[0] < 0 ? 1 : 0}, dist::ReduceOp::kMax);
  if (unknown > 0) return std::nullopt;
  control.all_reduce(std::span<std::int64_t>(sums), dist::ReduceOp::kSum);
  return ImageBytes{sums[0], sums[1]};
}

}  // namespace diffprob::launch

#include "model/transformer/draws.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

#include "data/random/keyed_random.h"

namespace diffprob::model {
namespace {

/// Streams of numbers that one row of the global batch has in one step.
enum Stream : std::uint64_t { kPatches = 1, kBranches = 2 };

std::uint64_t key_of(const StepContext& context, std::int64_t row, Stream stream) {
  const auto global_row = static_cast<std::uint64_t>(context.first_row + row);
  return data::combine_key(data::combine_key(context.key, global_row), stream);
}

/// A random number and the place that it was drawn for, in one word: equal numbers are ordered by
/// place.
constexpr std::uint64_t kPlaceBits = 16;

std::uint64_t numbered(std::uint64_t bits, std::int64_t place) {
  return (bits >> kPlaceBits << kPlaceBits) | static_cast<std::uint64_t>(place);
}

/// The images of one branch, [rows] factors, whose places go behind `places`.
BranchImages taking_part_in(const float* factors, std::int64_t rows,
                            std::vector<std::int64_t>& places) {
  BranchImages branch{{}, 0};
  const std::size_t before = places.size();
  for (std::int64_t row = 0; row < rows; ++row) {
    if (factors[row] == 0) continue;
    places.push_back(row);
    branch.factor = static_cast<double>(factors[row]);
  }
  if (places.size() == before) places.push_back(0);
  return branch;
}

}  // namespace

at::Tensor draw_kept_patches(std::int64_t rows, std::int64_t patches, std::int64_t masked,
                             const StepContext& context) {
  TORCH_CHECK(
      patches > 0 && patches < (std::int64_t{1} << kPlaceBits) && masked >= 0 && masked < patches,
      "masking: expected to leave out fewer than all of ", patches, " patches, got ", masked);
  const std::int64_t kept = patches - masked;
  at::Tensor places = at::empty({rows, kept}, at::TensorOptions().dtype(at::kLong));
  auto* out = places.data_ptr<std::int64_t>();
  std::vector<std::uint64_t> drawn(static_cast<std::size_t>(patches));
  for (std::int64_t row = 0; row < rows; ++row, out += kept) {
    data::KeyedRandom random(key_of(context, row, kPatches));
    for (std::int64_t place = 0; place < patches; ++place)
      drawn[static_cast<std::size_t>(place)] = numbered(random.bits(), place);
    std::nth_element(drawn.begin(), drawn.begin() + kept - 1, drawn.end());
    for (std::int64_t i = 0; i < kept; ++i)
      out[i] = static_cast<std::int64_t>(drawn[static_cast<std::size_t>(i)] &
                                         ((std::uint64_t{1} << kPlaceBits) - 1));
    std::sort(out, out + kept);
  }
  return places;
}

at::Tensor draw_branch_factors(std::int64_t rows, std::int64_t depth, double rate,
                               const StepContext& context) {
  TORCH_CHECK(rate >= 0 && rate < 1, "stochastic depth: expected a rate in [0, 1), got ", rate);
  at::Tensor factors = at::empty({depth, 2, rows}, at::kFloat);
  auto* out = factors.data_ptr<float>();
  for (std::int64_t row = 0; row < rows; ++row) {
    data::KeyedRandom random(key_of(context, row, kBranches));
    for (std::int64_t branch = 0; branch < 2 * depth; ++branch) {
      const double p =
          depth > 1 ? rate * static_cast<double>(branch / 2) / static_cast<double>(depth - 1) : 0;
      out[branch * rows + row] = random.uniform() < p ? 0.0f : static_cast<float>(1 / (1 - p));
    }
  }
  return factors;
}

std::vector<BlockImages> images_taking_part(const at::Tensor& factors, at::Device device) {
  const std::int64_t depth = factors.size(0), rows = factors.size(2);
  const auto* values = factors.const_data_ptr<float>();
  std::vector<BlockImages> blocks(static_cast<std::size_t>(depth));
  std::vector<std::int64_t> places, ends;  // of all branches one after the other: one upload
  for (std::int64_t i = 0; i < 2 * depth; ++i) {
    BlockImages& block = blocks[static_cast<std::size_t>(i / 2)];
    (i % 2 == 0 ? block.attention : block.perceptron) =
        taking_part_in(values + i * rows, rows, places);
    ends.push_back(static_cast<std::int64_t>(places.size()));
  }
  const at::Tensor all = at::tensor(places, at::kLong).to(device);
  for (std::int64_t i = 0, begin = 0; i < 2 * depth; ++i) {
    BlockImages& block = blocks[static_cast<std::size_t>(i / 2)];
    const std::int64_t end = ends[static_cast<std::size_t>(i)];
    BranchImages& branch = i % 2 == 0 ? block.attention : block.perceptron;
    if (end - begin < rows || branch.factor != 1) branch.images = all.slice(0, begin, end);
    begin = end;
  }
  return blocks;
}

}  // namespace diffprob::model

#include "dist/reducer/gradient_buckets.h"

#include <torch/types.h>

#include <iterator>
#include <utility>

namespace diffprob::dist {
namespace {

constexpr std::int64_t kAlignBytes = 64;  // whole vector loads, whole cache lines

std::int64_t padded_elements(const at::Tensor& parameter) {
  const std::int64_t step = kAlignBytes / static_cast<std::int64_t>(parameter.element_size());
  return (parameter.numel() + step - 1) / step * step;
}

void allocate(const std::vector<at::Tensor>& parameters, GradientBuckets& result,
              std::size_t index) {
  auto& bucket = result.buckets[index];
  std::int64_t total = 0;
  for (const auto i : bucket.members) total += padded_elements(parameters[i]);
  const auto& first = parameters[bucket.members.front()];
  bucket.flat = torch::zeros({total}, at::TensorOptions(first.device()).dtype(first.scalar_type()));
  std::int64_t offset = 0;
  for (const auto i : bucket.members) {
    result.views[i] =
        bucket.flat.as_strided(parameters[i].sizes(), parameters[i].strides(), offset);
    result.bucket_of[i] = index;
    offset += padded_elements(parameters[i]);
  }
}

/// Nothing of backward is left to hide the last bucket: most of it goes into one of its own before.
void make_last_small(const std::vector<at::Tensor>& parameters,
                     std::vector<GradientBucket>& buckets, std::int64_t bytes) {
  if (buckets.empty()) return;
  auto& members = buckets.back().members;
  auto first = std::prev(members.end());
  const auto size = [&](std::size_t i) {
    return static_cast<std::int64_t>(parameters[i].nbytes());
  };
  std::int64_t held = size(*first);
  while (first != members.begin() && (held += size(*std::prev(first))) <= bytes) --first;
  if (first == members.begin()) return;
  GradientBucket last;
  last.members.assign(first, members.end());
  members.erase(first, members.end());
  buckets.push_back(std::move(last));
}

}  // namespace

GradientBuckets make_gradient_buckets(const std::vector<at::Tensor>& parameters,
                                      const std::vector<std::size_t>& order,
                                      const BucketBytes& bytes) {
  GradientBuckets result;
  result.bucket_of.resize(parameters.size());
  result.views.resize(parameters.size());
  std::int64_t held = 0;
  for (const auto i : order) {
    const std::int64_t limit = result.buckets.size() <= 1 ? bytes.first : bytes.others;
    const bool full = result.buckets.empty() || held >= limit ||
                      parameters[result.buckets.back().members.back()].scalar_type() !=
                          parameters[i].scalar_type();
    if (full) {
      result.buckets.emplace_back();
      held = 0;
    }
    result.buckets.back().members.push_back(i);
    held += static_cast<std::int64_t>(parameters[i].nbytes());
  }
  make_last_small(parameters, result.buckets, bytes.last);
  for (std::size_t b = 0; b < result.buckets.size(); ++b) allocate(parameters, result, b);
  return result;
}

}  // namespace diffprob::dist

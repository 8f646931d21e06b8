#include "eval/ijb/pair_scores.h"

#include <algorithm>
#include <limits>

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include "eval/ijb/dot_kernel.h"

namespace diffprob::eval {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{384}
                                     << 10U;  // of second templates: part of a core's second cache
constexpr std::int64_t kPairsATask = std::int64_t{1} << 16U;

/// `order` stably sorted by key(pair), keys in [0, keys).
template <class Key>
std::vector<std::uint32_t> counting_sort(const std::vector<std::uint32_t>& order, std::int64_t keys,
                                         const Key& key) {
  std::vector<std::size_t> begin(static_cast<std::size_t>(keys) + 1, 0);
  for (const auto pair : order) ++begin[static_cast<std::size_t>(key(pair)) + 1];
  for (std::size_t k = 1; k < begin.size(); ++k) begin[k] += begin[k - 1];
  std::vector<std::uint32_t> sorted(order.size());
  for (const auto pair : order) sorted[begin[static_cast<std::size_t>(key(pair))]++] = pair;
  return sorted;
}

/// By block of the second template, then by the first.
std::vector<std::uint32_t> block_order(const TemplatePairs& pairs, std::int64_t templates,
                                       std::int64_t block) {
  std::vector<std::uint32_t> order(pairs.same.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
  order = counting_sort(order, templates, [&](std::uint32_t pair) { return pairs.first[pair]; });
  return counting_sort(order, templates / block + 1,
                       [&](std::uint32_t pair) { return pairs.second[pair] / block; });
}

/// Runs of one first template within [begin, end) of the order.
void score_range(std::span<const double> templates, std::int64_t dim, const TemplatePairs& pairs,
                 std::span<const std::uint32_t> order, std::vector<double>& scores) {
  std::vector<std::int32_t> rows;
  std::vector<double> products;
  for (std::size_t begin = 0; begin < order.size();) {
    const std::int32_t first = pairs.first[order[begin]];
    rows.clear();
    std::size_t end = begin;
    for (; end < order.size() && pairs.first[order[end]] == first; ++end)
      rows.push_back(pairs.second[order[end]]);
    products.resize(rows.size());
    dots_with_rows(templates.data() + first * dim, templates.data(), dim, rows.data(),
                   static_cast<std::int64_t>(rows.size()), products.data());
    for (std::size_t i = begin; i < end; ++i) scores[order[i]] = products[i - begin];
    begin = end;
  }
}

}  // namespace

std::vector<double> pair_scores(std::span<const double> templates, std::int64_t dim,
                                const TemplatePairs& pairs) {
  TORCH_CHECK(dim > 0 && static_cast<std::int64_t>(templates.size()) % dim == 0,
              "pair scores: ", templates.size(), " numbers are not a whole number of templates of ",
              dim);
  TORCH_CHECK(pairs.size() <= std::numeric_limits<std::uint32_t>::max(),
              "pair scores: ", pairs.size(), " pairs on one rank; use more ranks");
  const std::int64_t count = static_cast<std::int64_t>(templates.size()) / dim;
  for (std::size_t i = 0; i < pairs.same.size(); ++i) {
    const auto [low, high] = std::minmax(pairs.first[i], pairs.second[i]);
    TORCH_CHECK(low >= 0 && high < count, "pair scores: pair ", i, " (", pairs.first[i], ", ",
                pairs.second[i], ") of ", count, " templates");
  }
  const std::int64_t block =
      std::max<std::int64_t>(1, kBlockBytes / (dim * static_cast<std::int64_t>(sizeof(double))));
  const std::vector<std::uint32_t> order = block_order(pairs, count, block);
  std::vector<double> scores(order.size());
  at::parallel_for(0, pairs.size(), kPairsATask, [&](std::int64_t begin, std::int64_t end) {
    score_range(templates, dim, pairs,
                std::span(order).subspan(static_cast<std::size_t>(begin),
                                         static_cast<std::size_t>(end - begin)),
                scores);
  });
  return scores;
}

}  // namespace diffprob::eval

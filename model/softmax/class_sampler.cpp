#include "model/softmax/class_sampler.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/softmax/keyed_hash.h"

namespace diffprob::model {
namespace {

/// A share of the classes, rounded up.
std::int64_t share_of(double rate, std::int64_t local_classes) {
  const auto share =
      static_cast<std::int64_t>(std::ceil(rate * static_cast<double>(local_classes)));
  return std::min(local_classes, share);
}

}  // namespace

bool counts_labels(double rate, std::int64_t rows, std::int64_t local_classes) {
  return share_of(rate, local_classes) < std::min(local_classes, rows);
}

std::int64_t sampled_count(double rate, const at::Tensor& labels, std::int64_t first_class,
                           std::int64_t local_classes) {
  const std::int64_t wanted = share_of(rate, local_classes);
  if (!counts_labels(rate, labels.size(0), local_classes)) return wanted;
  const at::Tensor row = labels - first_class;
  const at::Tensor own =
      row.masked_select(at::logical_and(row >= 0, row < local_classes));  // waits for a GPU
  return std::max(wanted, std::get<0>(at::_unique(own)).numel());
}

SampledClasses sample_classes(const at::Tensor& labels, std::int64_t first_class,
                              std::int64_t local_classes, std::int64_t count,
                              const at::Tensor& key) {
  if (count == 0) return {at::empty({0}, labels.options())};
  const at::Tensor ids = at::arange(first_class, first_class + local_classes + 1, labels.options());
  at::Tensor score = keyed_hash(ids, key);
  // Labels of other shards fall on the element after the last, which no one looks at.
  const at::Tensor row = labels - first_class;
  const at::Tensor elsewhere = at::logical_or(row < 0, row >= local_classes);
  score.index_fill_(0, row.masked_fill(elsewhere, local_classes),
                    std::numeric_limits<std::int64_t>::max());
  const at::Tensor top = std::get<1>(
      at::topk(score.narrow(0, 0, local_classes), count, 0, /*largest=*/true, /*sorted=*/false));
  return {std::get<0>(top.sort())};
}

}  // namespace diffprob::model

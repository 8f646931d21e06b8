#include "model/class_shard.h"

#include <ATen/ATen.h>

#include <limits>

namespace diffprob::model {

TargetElements::TargetElements(const at::Tensor& labels, std::int64_t first_class, std::int64_t local_classes)
    : empty_(local_classes == 0) {
  if (empty_) return;
  const at::Tensor column = labels - first_class;
  here_ = at::logical_and(column >= 0, column < local_classes);
  column_ = column.clamp(0, local_classes - 1).unsqueeze(1);
}

at::Tensor TargetElements::take(const at::Tensor& over_classes, double elsewhere) const {
  if (empty_) return at::full({over_classes.size(0)}, elsewhere, over_classes.options());
  return over_classes.gather(1, column_).squeeze(1).masked_fill_(at::logical_not(here_), elsewhere);
}

void TargetElements::put(at::Tensor over_classes, const at::Tensor& values) const {
  if (empty_) return;
  const at::Tensor old = over_classes.gather(1, column_).squeeze(1);
  over_classes.scatter_(1, column_, at::where(here_, values, old).unsqueeze(1));
}

void TargetElements::put(at::Tensor over_classes, double value) const {
  if (empty_) return;
  put(over_classes, at::full({over_classes.size(0)}, value, over_classes.options()));
}

RowMaxima row_maxima(const at::Tensor& over_classes, std::int64_t first_class) {
  if (over_classes.size(1) == 0) {
    const std::int64_t rows = over_classes.size(0);
    return {at::full({rows}, -std::numeric_limits<double>::infinity(), over_classes.options()),
            at::full({rows}, -1, over_classes.options().dtype(at::kLong))};
  }
  auto [value, column] = at::max(over_classes, 1);
  return {value, column.add_(first_class)};
}

}  // namespace diffprob::model

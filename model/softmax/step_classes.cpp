#include "model/softmax/step_classes.h"

#include <ATen/ATen.h>

#include <utility>

namespace diffprob::model {

StepClasses StepClasses::all(at::Tensor weight, std::int64_t first_class,
                             const at::Tensor& labels) {
  StepClasses classes;
  classes.count_ = weight.size(0);
  const at::Tensor row = labels - first_class;
  classes.targets_ = {row.clamp(0, classes.count_),
                      at::logical_and(row >= 0, row < classes.count_)};
  classes.weight_ = std::move(weight);
  return classes;
}

StepClasses StepClasses::sampled(at::Tensor weight, std::int64_t first_class,
                                 const at::Tensor& labels, const SampledClasses& sample) {
  StepClasses classes;
  classes.count_ = sample.rows.size(0);
  const at::Tensor row = labels - first_class;
  // Labels of this shard are always in the sample.
  classes.targets_ = {at::searchsorted(sample.rows, row),
                      at::logical_and(row >= 0, row < weight.size(0))};
  classes.weight_ = std::move(weight);
  classes.rows_ = sample.rows;
  return classes;
}

at::Tensor StepClasses::centres(std::int64_t begin, std::int64_t c) const {
  const at::Tensor stored = rows_.defined() ? weight_.index_select(0, rows_.narrow(0, begin, c))
                                            : weight_.narrow(0, begin, c);
  return stored.to(at::kFloat);
}

at::Tensor StepClasses::target_centres(const at::Tensor& batch_rows) const {
  const at::Tensor positions =
      batch_rows.defined() ? targets_.position.index_select(0, batch_rows) : targets_.position;
  const at::Tensor position = positions.clamp_max(count_ - 1);
  return weight_.index_select(0, rows_.defined() ? rows_.index_select(0, position) : position)
      .to(at::kFloat);
}

RowGradients StepClasses::gradients(std::int64_t begin, at::Tensor gradient) const {
  const std::int64_t c = gradient.size(0);
  return {
      begin, rows_.defined() ? rows_.narrow(0, begin, c) : at::Tensor(), std::move(gradient), {}};
}

}  // namespace diffprob::model

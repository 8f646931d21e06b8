#include "launch/train/dynamics/step_records.h"

#include <ATen/ATen.h>

#include <utility>

namespace diffprob::launch {
namespace {

enum Column : std::int64_t { kProbability, kMargin, kCorrect };

}  // namespace

void StepRecords::add(const at::Tensor& indices, const model::HeadStep& head) {
  const at::NoGradGuard no_grad;
  const at::Tensor samples = indices.contiguous();
  const auto* first = samples.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < samples.numel(); ++i)
    indices_.push_back(static_cast<std::uint32_t>(first[i]));
  columns_.push_back(at::stack({head.probability, head.label_margin, head.correct.to(at::kFloat)}));
}

void StepRecords::end_update(at::Tensor apply) {
  applied_.push_back(std::move(apply));
  ends_.push_back(indices_.size());
}

StepRecords::Taken StepRecords::take() {
  Taken taken;
  if (ends_.empty()) return taken;
  const at::NoGradGuard no_grad;
  const at::Tensor columns = at::cat(columns_, 1).to(at::kCPU);  // [3, rows]
  const at::Tensor applied = at::stack(applied_).to(at::kCPU, at::kFloat).reshape(-1);
  const auto column = [&](Column c) {
    return columns.const_data_ptr<float>() + c * columns.size(1);
  };
  std::size_t row = 0;
  for (std::size_t update = 0; update < ends_.size(); ++update) {
    const bool made = applied.const_data_ptr<float>()[update] != 0;
    taken.updates += made ? 1 : 0;
    for (; row < ends_[update]; ++row) {
      if (!made) continue;
      taken.records.push_back({indices_[row], column(kProbability)[row], column(kMargin)[row],
                               static_cast<std::uint8_t>(column(kCorrect)[row] != 0)});
    }
  }
  indices_.clear();
  columns_.clear();
  applied_.clear();
  ends_.clear();
  return taken;
}

}  // namespace diffprob::launch

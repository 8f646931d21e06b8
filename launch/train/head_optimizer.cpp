#include "launch/train/head_optimizer.h"

#include "launch/train/optimizers.h"

namespace diffprob::launch {

HeadOptimizer::HeadOptimizer(const TrainConfig& train, model::ShardedHead& head) : head_(head) {
  const model::HeadOptions& options = head.options();
  const bool partial = options.sample_rate < 1 || options.storage != at::kFloat;
  const bool sgd = train.optimizer == model::OptimizerKind::kSgd;
  const bool one_pass = train.accumulate == 1 || !head.margin().changes_non_targets();
  TORCH_CHECK(
      !partial || sgd,
      "model.sample_rate below 1 and model.head_storage=bf16 need train.optimizer=sgd, got adamw");
  TORCH_CHECK(options.sample_rate == 1 || train.accumulate == 1,
              "model.sample_rate below 1 needs train.accumulate=1, got ", train.accumulate);
  TORCH_CHECK(!partial || one_pass,
              "model.head_storage=bf16 with model.loss=", model::margin_name(options.margin.kind),
              " needs train.accumulate=1, got ", train.accumulate);
  if (sgd && one_pass) {
    by_rows_ = std::make_unique<model::HeadSgd>(
        head.weight(), head.first_class(),
        model::HeadSgdOptions{train.sgd.momentum, train.sgd.weight_decay, train.sgd.nesterov,
                              options.seed});
  } else {
    whole_ = make_optimizer(train, {head.weight()}, {train.sgd.weight_decay});
  }
}

model::CentreGradients HeadOptimizer::gradients(std::int64_t micro) const {
  if (by_rows_) return model::CentreGradients::kDefer;
  return micro == 0 ? model::CentreGradients::kWrite : model::CentreGradients::kAccumulate;
}

void HeadOptimizer::step(const model::StepControl& control, std::int64_t step,
                         const at::Tensor& device_step) {
  if (whole_) {
    head_.finish_reduction();
    return whole_->step(control);
  }
  by_rows_->begin_step(control, static_cast<std::uint64_t>(step), device_step);
  head_.apply(*by_rows_);
}

model::StateDict HeadOptimizer::rows() {
  if (by_rows_) return {{"momentum", by_rows_->momentum()}};
  model::StateDict rows;
  for (const auto& kind : whole_->state()) {
    if (kind.tensors.front().dim() > 0) rows.emplace_back(kind.suffix, kind.tensors.front());
  }
  return rows;
}

model::StateDict HeadOptimizer::replicated() {
  model::StateDict entries;
  if (by_rows_) return entries;
  for (const auto& kind : whole_->state()) {
    if (kind.tensors.front().dim() == 0)
      entries.emplace_back("head." + kind.suffix, kind.tensors.front());
  }
  return entries;
}

}  // namespace diffprob::launch

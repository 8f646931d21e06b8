#include "launch/trainer.h"

#include "data/keyed_random.h"
#include "model/normalize.h"

namespace diffprob::launch {
namespace {

model::BackboneOptions backbone_options(const Config& config, std::uint64_t seed) {
  return {config.model.backbone, config.model.embedding_dim, config.model.dropout, seed};
}

std::vector<at::Tensor> trained_parameters(const model::Backbone& backbone) {
  std::vector<at::Tensor> parameters;
  for (const auto& parameter : backbone.parameters()) {
    if (parameter.requires_grad()) parameters.push_back(parameter);
  }
  return parameters;
}

std::shared_ptr<model::Backbone> backbone_on(const Config& config, std::uint64_t seed, at::Device device) {
  auto backbone = model::make_backbone(backbone_options(config, seed));
  backbone->to(device);
  backbone->train();
  return backbone;
}

/// Momenta exist from the first step on; a checkpoint wants them always.
std::vector<at::Tensor>& with_momenta(model::Sgd& sgd, const std::vector<at::Tensor>& parameters) {
  auto& momenta = sgd.momenta();
  for (std::size_t i = 0; i < momenta.size(); ++i) {
    if (!momenta[i].defined()) momenta[i] = at::zeros_like(parameters[i]);
  }
  return momenta;
}

}  // namespace

model::MarginOptions margin_options(const Config& config) {
  return {model::margin_kind(config.model.loss), config.model.scale, config.model.margin};
}

Trainer::Trainer(const Config& config, std::int64_t num_classes, std::uint64_t seed, Runtime& runtime)
    : config_(config),
      seed_(seed),
      runtime_(runtime),
      backbone_(backbone_on(config, seed, runtime.device())),
      head_({num_classes, config.model.embedding_dim, margin_options(config), seed}, runtime.tensors()),
      parameters_(trained_parameters(*backbone_)),
      reducer_(parameters_, runtime.tensors(),
               {.bucket_bytes = static_cast<std::int64_t>(config.dist.bucket_mib * (1 << 20)),
                .combine = dist::GradientReducerOptions::Combine::kSum}),  // the loss is already a mean over the global batch
      backbone_sgd_(parameters_, {config.train.momentum, config.train.weight_decay}),
      head_sgd_({head_.weight()}, {config.train.momentum, config.train.weight_decay}),
      rows_(runtime.rows_per_rank(config.train.batch_size)),
      sums_(at::zeros({3}, at::TensorOptions().dtype(at::kDouble).device(runtime.device()))) {}

void Trainer::step(const data::Batch& batch, std::int64_t step, double learning_rate) {
  const auto first_row = data::rows_of_rank(config_.train.batch_size, runtime_.rank(), runtime_.world_size()).begin;
  backbone_->set_step_context({data::combine_key(seed_, static_cast<std::uint64_t>(step)), first_row});
  reducer_.zero_grad();
  const at::Tensor faces = model::normalize_faces(batch.images, runtime_.device());
  const at::Tensor embeddings = backbone_->forward(faces);  // [b, D]
  const at::Tensor labels = batch.labels.to(runtime_.device(), /*non_blocking=*/true);
  const model::HeadStep head = head_.forward_backward(embeddings.detach(), labels, rows_);
  embeddings.backward(head.grad_embeddings);
  reducer_.finish();
  if (config_.train.clip_grad_norm > 0) model::clip_grad_norm(parameters_, config_.train.clip_grad_norm);
  backbone_sgd_.step(learning_rate);
  head_sgd_.step(learning_rate);

  const at::NoGradGuard no_grad;
  sums_[0] += head.loss;
  sums_[1] += head.correct.sum();
  sums_[2] += labels.size(0);
  ++steps_since_;
}

RunningMeans Trainer::take_means() {
  head_.check_labels();                             // on CUDA a step does not wait for the check of its own labels
  const double own_loss = sums_[0].item<double>();  // the same on every rank
  runtime_.tensors().all_reduce(sums_)->wait_stream();
  const double right = sums_[1].item<double>();
  const double rows = sums_[2].item<double>();
  const RunningMeans means{own_loss / static_cast<double>(std::max<std::int64_t>(1, steps_since_)), right / std::max(1.0, rows)};
  sums_.zero_();
  steps_since_ = 0;
  return means;
}

void Trainer::average_statistics() {
  if (runtime_.world_size() == 1) return;
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> statistics;
  for (const auto& buffer : backbone_->buffers()) {
    if (buffer.is_floating_point()) statistics.push_back(buffer);
  }
  std::vector<at::Tensor> parts;
  for (const auto& buffer : statistics) parts.push_back(buffer.flatten());
  at::Tensor flat = at::cat(parts);
  runtime_.tensors().all_reduce(flat)->wait_stream();
  flat.div_(runtime_.world_size());
  std::int64_t at = 0;
  for (auto& buffer : statistics) {
    buffer.copy_(flat.narrow(0, at, buffer.numel()).view(buffer.sizes()));
    at += buffer.numel();
  }
}

CheckpointState Trainer::state() {
  CheckpointState state;
  state.backbone = model::state_dict(*backbone_);
  const auto& momenta = with_momenta(backbone_sgd_, parameters_);
  std::size_t next = 0;
  for (const auto& named : backbone_->named_parameters()) {
    if (named.value().requires_grad()) state.backbone_momenta.emplace_back(named.key(), momenta[next++]);
  }
  state.head_weight = head_.weight();
  state.head_momentum = with_momenta(head_sgd_, {head_.weight()})[0];
  state.first_class = head_.first_class();
  return state;
}

}  // namespace diffprob::launch

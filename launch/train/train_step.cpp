#include "launch/train/train_step.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include <spdlog/fmt/fmt.h>

#include "data/random/keyed_random.h"
#include "launch/config/precision.h"
#include "launch/train/optimizers.h"
#include "model/inference/autocast.h"
#include "model/input/gpu_ops.h"
#include "model/input/normalize.h"
#include "model/networks/activation_format.h"
#include "model/optim/gradient_clip.h"
#include "model/softmax/class_sampler.h"
#include "model/softmax/keyed_hash.h"

namespace diffprob::launch {
namespace {

enum Sum : std::int64_t { kLoss, kNorm, kSteps, kRight, kRows, kSums };

std::vector<at::Tensor> trained_parameters(const model::Backbone& backbone) {
  std::vector<at::Tensor> parameters;
  for (const auto& parameter : backbone.parameters()) {
    if (parameter.requires_grad()) parameters.push_back(parameter);
  }
  return parameters;
}

bool uses_kernel(const Config& config, UntriedKernel kernel) {
  const auto& kernels = config.train.untried_kernels;
  return std::find(kernels.begin(), kernels.end(), kernel) != kernels.end();
}

/// What a network in training is given and fills; they outlive it.
struct NetworkParts {
  dist::GradientPlaces& places;
  model::SixteenBitWeights& weights;
};

std::shared_ptr<model::Backbone> make_network(const Config& config, std::uint64_t seed,
                                              Runtime& runtime, const NetworkParts& parts) {
  model::BackboneOptions options = config.model.network;
  options.seed = seed;
  options.sum_outputs = uses_kernel(config, UntriedKernel::kSumStatistics);
  if (config.model.sync_batch_norm) options.sync_batch_norm = &runtime.tensors();
  const bool on_gpu = runtime.device().is_cuda();
  options.fold_norms = on_gpu && uses_kernel(config, UntriedKernel::kFoldedNorm);
  const bool own_weights =
      options.fold_norms || (on_gpu && uses_kernel(config, UntriedKernel::kWeights));
  if (!on_gpu || own_weights) options.gradient_places = &parts.places;
  options.sixteen_bit_weights = &parts.weights;
  auto backbone = model::make_backbone(options);
  backbone->to(runtime.device());
  if (own_weights) {
    model::lay_out_weights(*backbone);
    const at::ScalarType type = scalar_type(precision_on(runtime.device(), config.train.precision));
    if (type != at::kFloat) parts.weights.follow(*backbone, type);
  }
  backbone->train();
  return backbone;
}

}  // namespace

model::HeadOptions head_options(const Config& config, std::int64_t num_classes,
                                std::uint64_t seed) {
  model::HeadOptions options = config.model.head;
  options.num_classes = num_classes;
  options.embedding_dim = config.model.network.embedding_dim;
  options.margin = model::with_published_values(options.margin);
  options.seed = seed;
  options.max_buffer_bytes =
      static_cast<std::int64_t>(config.model.head_buffer_mib * kBytesPerMebibyte);
  options.target_kernel = uses_kernel(config, UntriedKernel::kOwnClasses);
  return options;
}

namespace {

dist::GradientReducerOptions reducer_options(const Config& config, const Runtime& runtime,
                                             dist::GradientPlaces& places) {
  const at::ScalarType type = config.train.reducer.communication_dtype;
  const std::int64_t most = dist::most_ranks_adding_in(type, runtime.device());
  if (runtime.world_size() > most) {
    throw ConfigError({fmt::format(
        "train.grad_dtype: is {} on {} GPUs, but NCCL sums gradients in that type, and with more "
        "than {} GPUs the terms fall below its precision; use {}",
        word_of(format_words(), type), runtime.world_size(), most,
        type == at::kBFloat16 ? "fp16 (up to 2048 GPUs) or fp32" : "fp32")});
  }
  dist::GradientReducerOptions options = config.train.reducer;
  options.bucket_bytes = static_cast<std::int64_t>(config.dist.bucket_mib * kBytesPerMebibyte);
  options.reorder = !config.train.deterministic;
  options.places = &places;
  return options;
}

std::vector<double> network_decays(const Config& config, const model::Backbone& backbone) {
  return model::weight_decays(
      backbone, config.train.sgd.weight_decay,
      config.train.decay_norm_and_bias ? model::DecayOn::kAll : model::DecayOn::kWeights);
}

/// Steps before one is captured: the reducer orders its buckets, cuDNN tries its algorithms, lazy
/// buffers come into being.
constexpr std::int64_t kStepsBeforeGraph = 4;

/// What has not run captured on a GPU yet, and must be asked for by train.cuda_graph=true.
bool is_untried_in_graph(const Config& config) {
  return config.train.optimizer != model::OptimizerKind::kSgd ||
         config.model.head.sample_rate < 1 || config.model.head.storage != at::kFloat;
}

std::string head_obstacle(const Config& config, std::int64_t num_classes, const HeadGroups& groups,
                          const Runtime& runtime) {
  if (groups.copies() > 1)
    return "model.head_group makes several copies of the head, whose steps have not been recorded "
           "yet";
  // Of the smallest shard, so that all ranks decide alike.
  if (config.model.head.sample_rate < 1 &&
      model::counts_labels(config.model.head.sample_rate, config.train.batch_size,
                           num_classes / runtime.world_size()))
    return "with this model.sample_rate, a rank samples fewer classes than the batch has images";
  return "";
}

bool wants_graph(const Config& config, std::int64_t num_classes, const HeadGroups& groups,
                 const Runtime& runtime) {
  if (config.train.cuda_graph == CudaGraph::kOff) return false;
  if (config.train.cuda_graph == CudaGraph::kAuto && is_untried_in_graph(config)) return false;
  std::string obstacle = graph_obstacle(config, runtime);
  if (obstacle.empty()) obstacle = head_obstacle(config, num_classes, groups, runtime);
  if (!obstacle.empty() && config.train.cuda_graph == CudaGraph::kOn)
    throw ConfigError({"train.cuda_graph: true is not possible: " + obstacle});
  return obstacle.empty();
}

std::vector<std::int64_t> rows_of_micro_batch(const Config& config, const Runtime& runtime) {
  const std::int64_t parts = config.train.accumulate;
  TORCH_CHECK(parts == 1 || config.train.batch_size % (parts * runtime.world_size()) == 0,
              "train.batch_size is ", config.train.batch_size,
              ", expected a multiple of train.accumulate * ranks = ", parts, " * ",
              runtime.world_size());
  return runtime.rows_per_rank(config.train.batch_size / parts);
}

}  // namespace

std::string graph_obstacle(const Config& config, const Runtime& runtime) {
  if (!runtime.device().is_cuda()) return "the device is not a GPU";
  const model::MarginOptions margin = model::with_published_values(config.model.head.margin);
  if (margin.elastic_std > 0 && model::margin_name(margin.kind).starts_with("elastic"))
    return "margins of model.loss are drawn on the host";
  if (config.model.network.embedding_dim % 4 != 0)
    return "model.embedding_dim is not a multiple of 4";  // the head's own update wants it
  if (model::is_vision_transformer(config.model.network.name))
    return "masks of model.backbone are drawn on the host";
  if (config.train.record != RecordDynamics::kNo)
    return "train.record needs the values of each step";
  if (config.train.epoch_pruning.rule != prune::EpochPruningOptions::Rule::kNone)
    return "train.prune needs the values of each step";
  return "";
}

TrainStep::TrainStep(const Config& config, std::int64_t num_classes, std::uint64_t seed,
                     Runtime& runtime)
    : config_(config),
      seed_(seed),
      runtime_(runtime),
      backbone_(make_network(config, seed, runtime, {places_, weights_})),
      head_groups_(config, num_classes, runtime),
      head_(head_options(config, num_classes, seed), head_groups_.group(), head_groups_.replicas()),
      parameters_(trained_parameters(*backbone_)),
      reducer_(parameters_, runtime.tensors(), reducer_options(config, runtime, places_)),
      optimizer_(make_optimizer(config.train, parameters_, network_decays(config, *backbone_))),
      head_optimizer_(config.train, head_),
      snapshot_(*backbone_),
      timer_(runtime.device()),
      upload_(runtime.device()),
      use_graph_(wants_graph(config, num_classes, head_groups_, runtime)),
      run_ahead_(
          runtime.device(),
          std::chrono::milliseconds(static_cast<std::int64_t>(10000 * config.dist.step_timeout))),
      graph_(runtime.device()),
      precision_(scalar_type(precision_on(runtime.device(), config.train.precision))),
      own_faces_(uses_kernel(config, UntriedKernel::kFaces)),
      micro_rows_(rows_of_micro_batch(config, runtime)),
      sums_(at::zeros({kSums}, at::TensorOptions().dtype(at::kDouble).device(runtime.device()))) {
  if (precision_ == at::kHalf)
    scaler_.emplace(model::LossScalerOptions{model::initial_loss_scale(config.train.batch_size)},
                    runtime.device());
  if (config.train.ema_decay > 0) ema_.emplace(*backbone_, config.train.ema_decay);
}

at::Tensor TrainStep::faces_of(const at::Tensor& images) const {
  if (!own_faces_ || !model::gpu::has_faces(images))
    return model::normalize_faces(images, runtime_.device());
  model::gpu::FaceOptions options;
  options.type = precision_;
  options.channels = precision_ == at::kFloat ? 4 : 8;
  return model::gpu::make_faces(images, options);
}

void TrainStep::micro_step(const Input& input, std::int64_t micro, const data::Batch* records_of) {
  const std::int64_t rows = micro_rows_[static_cast<std::size_t>(runtime_.rank())];
  const auto own =
      data::rows_of_rank(config_.train.batch_size, runtime_.rank(), runtime_.world_size());
  backbone_->set_step_context({input.key, own.begin + micro * rows, input.device_key});

  timer_.enter(StepPhase::kForward);
  const at::Tensor faces = faces_of(input.batch.images.narrow(0, micro * rows, rows));
  at::Tensor embeddings;  // [rows, D]
  {
    const model::Autocast autocast(runtime_.device(), precision_);
    embeddings = backbone_->forward(faces);
  }
  timer_.enter(StepPhase::kHead);
  const at::Tensor labels = input.batch.labels.narrow(0, micro * rows, rows);
  model::HeadStepOptions options;
  options.key = data::combine_key(input.key, static_cast<std::uint64_t>(micro));
  if (input.device_key.defined() && config_.model.head.sample_rate < 1)
    options.device_key = model::combine_key(input.device_key, static_cast<std::uint64_t>(micro));
  options.weight = 1.0 / static_cast<double>(config_.train.accumulate);
  options.centre_gradients = head_optimizer_.gradients(micro);
  if (scaler_) options.loss_scale = scaler_->scale();
  if (input.batch.weights.defined())
    options.row_weights = input.batch.weights.narrow(0, micro * rows, rows);
  // The head computes its own gradients, so autograd ends at the embeddings and goes on from there.
  const model::HeadStep head =
      head_.forward_backward(embeddings.detach(), labels, micro_rows_, options);

  // Copies of the head sum their gradients while the network's backward pass runs.
  if (micro + 1 == config_.train.accumulate) head_.begin_reduction();

  timer_.enter(StepPhase::kBackward);
  embeddings.backward(head.grad_embeddings.to(embeddings.scalar_type()));
  const at::NoGradGuard no_grad;
  if (records_of != nullptr) records_->add(records_of->indices.narrow(0, micro * rows, rows), head);
  const at::Tensor right = head.correct.sum();
  loss_ = micro == 0 ? head.loss * options.weight : loss_ + head.loss * options.weight;
  correct_ = micro == 0 ? right : correct_ + right;
}

model::StepControl TrainStep::decide(const Input& input) {
  model::ClipOptions options;
  options.max_norm = config_.train.clip_grad_norm;
  if (scaler_) options.loss_scale = scaler_->scale();
  const model::GradientNorm gradient =
      model::gradient_norm(model::gradients_of(parameters_), options);
  // A loss is of one rank's rows. All ranks skip the update, or their weights would part ways.
  const at::Tensor apply =
      at::mul(gradient.finite, loss_.isfinite().to(gradient.finite.scalar_type()));
  runtime_.tensors().all_reduce(apply, dist::ReduceOp::kMin)->wait_stream();

  const at::Tensor use = apply.to(at::kDouble);
  sums_[kLoss] += at::where(use > 0, loss_.to(at::kDouble), at::zeros_like(use));
  sums_[kNorm] += at::where(use > 0, gradient.norm.to(at::kDouble), at::zeros_like(use));
  sums_[kSteps] += use;
  return {input.learning_rate, apply, input.device_rate, gradient.divisor};
}

void TrainStep::update(const Input& input, const data::Batch* records_of) {
  reducer_.zero_grad();
  weights_.refresh();
  {
    const at::NoGradGuard no_grad;
    snapshot_.save();
  }
  for (std::int64_t micro = 0; micro < config_.train.accumulate; ++micro) {
    reducer_.set_communicate(micro + 1 == config_.train.accumulate);
    micro_step(input, micro, records_of);
  }
  timer_.enter(StepPhase::kCommunication);
  reducer_.finish();

  timer_.enter(StepPhase::kOptimizer);
  const at::NoGradGuard no_grad;
  const model::StepControl control = decide(input);
  // The decision stays on the device: reading it here would make the host wait for every step. The
  // optimisers take it as a factor, and what they cannot undo is restored below.
  apply_ = control.do_update;
  optimizer_->step(control);
  head_optimizer_.step({control.learning_rate, control.do_update, control.device_rate}, input.step,
                       input.device_step);
  // Takes back the running statistics that the forward pass of a bad batch changed.
  snapshot_.restore_if_skipped(apply_);
  if (scaler_) scaler_->update(apply_);
  if (ema_) ema_->update();
  sums_[kRight] += correct_;
  sums_[kRows] += input.batch.labels.size(0);
}

void TrainStep::replay(const Input& input) {
  const at::NoGradGuard no_grad;
  if (!captured_.device_key.defined()) {
    captured_ = input;
    captured_.batch = {at::empty_like(input.batch.images), at::empty_like(input.batch.labels)};
    const auto numbers = at::TensorOptions().dtype(at::kLong).device(runtime_.device());
    captured_.device_key = at::empty({1}, numbers);
    if (config_.model.head.storage != at::kFloat) captured_.device_step = at::empty({1}, numbers);
    captured_.device_rate =
        at::empty({}, at::TensorOptions().dtype(at::kFloat).device(runtime_.device()));
  }
  // The graph reads fixed addresses, so the batch and the numbers of this step are copied there.
  captured_.batch.images.copy_(input.batch.images);
  captured_.batch.labels.copy_(input.batch.labels);
  captured_.device_key.fill_(static_cast<std::int64_t>(input.key));
  captured_.device_rate.fill_(input.learning_rate);
  if (captured_.device_step.defined()) captured_.device_step.fill_(input.step);
  if (!graph_.is_captured()) {
    head_.check_labels();  // reads the device, which a capture does not allow
    timer_.set_recording(true);
    graph_.capture([&] {
      const at::AutoGradMode grad(true);
      update(captured_, nullptr);
    });
    timer_.set_recording(false);
  }
  timer_.enter(StepPhase::kReplay);
  graph_.replay();
  head_.replayed();
  // Nothing in the captured collectives tells the host when a peer dies: a watch does.
  runtime_.tensors().watch_replay();
}

std::string TrainStep::start_from(const std::string& path, const NetworkShape& shape_of_file) {
  std::string remark = load_backbone_weights(path, model::state_dict(*backbone_), shape_of_file);
  if (ema_) ema_->restart();
  return remark;
}

void TrainStep::step(const data::Batch& batch, std::int64_t step, double learning_rate) {
  runtime_.set_step(step);
  head_groups_.set_step(step);
  run_ahead_.wait([this] { runtime_.control().progress(); });
  const Input input{upload_.upload(batch),
                    data::combine_key(seed_, static_cast<std::uint64_t>(step)),
                    {},
                    step,
                    learning_rate,
                    {},
                    {}};
  if (use_graph_ && records_ == nullptr && own_steps_ >= kStepsBeforeGraph) {
    replay(input);
  } else {
    update(input, records_ != nullptr ? &batch : nullptr);
  }
  upload_.used();
  run_ahead_.mark();
  ++own_steps_;
  skipped_.note(step, apply_);
  if (records_ != nullptr) records_->end_update(apply_);
  timer_.end_step();
}

RunningMeans TrainStep::take_means() {
  head_.check_labels();  // on CUDA a step does not wait for the check of its own labels
  const at::Tensor own = sums_.to(at::kCPU, at::kDouble, /*non_blocking=*/false,
                                  /*copy=*/true);  // not a view: it is summed below
  const double steps =
      own[kSteps].item<double>();  // norm and steps are the same on every rank, loss in a group
  runtime_.tensors().all_reduce(sums_)->wait_stream();
  const double copies = head_groups_.copies();
  const double loss = copies == 1 ? own[kLoss].item<double>()
                                  : sums_[kLoss].item<double>() * copies / runtime_.world_size();
  const double right = sums_[kRight].item<double>();
  const double rows = sums_[kRows].item<double>();
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  const RunningMeans means{steps > 0 ? loss / steps : nothing, right / std::max(1.0, rows),
                           steps > 0 ? own[kNorm].item<double>() / steps : nothing};
  sums_.zero_();
  return means;
}

TrainStep::ForEvaluation::ForEvaluation(TrainStep& train_step)
    : swapped_(train_step.ema_ ? std::optional<model::Ema::Swapped>(std::in_place, *train_step.ema_)
                               : std::nullopt),
      statistics_(statistics_of(*train_step.backbone_), train_step.runtime_.tensors()) {}

model::StateDict TrainStep::statistics() const {
  model::StateDict statistics = statistics_of(*backbone_);
  if (!ema_) return statistics;
  const std::size_t own = statistics.size();
  for (std::size_t i = 0; i < own; ++i) {
    const std::string name = statistics[i].first;  // a copy: the list grows below
    for (const auto& [shadow, tensor] : ema_->state()) {
      if (shadow == name) statistics.emplace_back("ema." + name, tensor);
    }
  }
  return statistics;
}

CheckpointState TrainStep::state(model::StateDict local) {
  CheckpointState state;
  state.rank = runtime_.rank();
  state.world_size = runtime_.world_size();
  state.backbone = model::state_dict(*backbone_);
  state.local = std::move(local);

  ReplicatedPart optimizer{"optimizer", head_optimizer_.replicated()};
  for (const auto& kind : optimizer_->state()) {
    std::size_t next = 0;
    for (const auto& named : backbone_->named_parameters()) {
      if (named.value().requires_grad())
        optimizer.entries.emplace_back(named.key() + "." + kind.suffix, kind.tensors[next++]);
    }
  }
  state.replicated.push_back(std::move(optimizer));
  if (const auto loss = head_.margin().state(); !loss.empty())
    state.replicated.push_back({"loss", loss});
  if (scaler_) state.replicated.push_back({"scaler", scaler_->state()});
  if (ema_) state.replicated.push_back({"ema", ema_->state()});

  state.rows = head_optimizer_.rows();
  state.rows.insert(state.rows.begin(), {"weight", head_.weight()});
  state.first_class = head_.first_class();
  state.writes_rows = head_groups_.is_first();
  return state;
}

}  // namespace diffprob::launch

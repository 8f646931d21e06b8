#include "model/head/sharded_head.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "data/random/keyed_random.h"
#include "dist/gpu/stream_capture.h"
#include "model/head/gathered_batch.h"
#include "model/head/score_pass.h"
#include "model/head/target_classes.h"
#include "model/softmax/keyed_hash.h"
#include "model/softmax/row_norms.h"

namespace diffprob::model {
namespace {

constexpr float kInitialDeviation = 0.01f;
/// Logits per chunk: a chunk, its centres and their gradients then stay in the caches.
constexpr std::int64_t kHostChunkElements = 512 << 10;
constexpr std::int64_t kSmallestChunk = 64;

/// A point of the cube [-1, 1]^dim, moved to the sphere of radius 1.
void fill_direction(float* centre, std::int64_t dim, data::KeyedRandom random) {
  double square = 0;
  for (std::int64_t d = 0; d < dim; ++d) {
    centre[d] = random.uniform(-1.0f, 1.0f);
    square += static_cast<double>(centre[d]) * centre[d];
  }
  const auto inverse = static_cast<float>(1 / std::sqrt(std::max(square, 1e-30)));
  for (std::int64_t d = 0; d < dim; ++d) centre[d] *= inverse;
}

void fill_normal(float* centre, std::int64_t dim, data::KeyedRandom random) {
  for (std::int64_t d = 0; d < dim; ++d) centre[d] = kInitialDeviation * random.normal();
}

/// Returns [classes, dim]. The centre of class c is a function of only (seed, c).
at::Tensor initial_centres(const HeadOptions& options, std::int64_t first_class,
                           std::int64_t classes) {
  at::Tensor centres = at::empty({classes, options.embedding_dim}, at::kFloat);
  float* values = centres.mutable_data_ptr<float>();
  const std::uint64_t key = data::combine_key(options.seed, data::key_of_name("head.centre"));
  const bool unit_norms = options.margin.kind == MarginKind::kAdaFace &&
                          options.margin.preset == LossPreset::kReference;
  const auto fill = unit_norms ? &fill_direction : &fill_normal;
  at::parallel_for(0, classes, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      fill(values + c * options.embedding_dim, options.embedding_dim,
           data::KeyedRandom(data::combine_key(key, static_cast<std::uint64_t>(first_class + c))));
    }
  });
  return centres;
}

/// Softmax of a row over all ranks, split into the target class and all others, so that neither is
/// lost when the other is nearly 1. All [B].
struct RowSoftmax {
  at::Tensor reference;       ///< float32: largest effective cosine to another class, at least -1
  at::Tensor non_target_sum;  ///< float64: sum over non-target classes of exp(scale * (effective
                              ///< cosine - reference))
  at::Tensor gap;             ///< float64: log sum exp of the others - target logit
  at::Tensor correct;         ///< bool
  /// float64: largest cosine to another class, -inf when there is none.
  at::Tensor best_non_target;
};

/// Collective: a maximum of [4, B] float32 and a sum of [B] int64, whatever the number of ranks.
/// Maxima are exact and integers add up exactly, so all ranks get the same bits in whatever order
/// the network combines them. Each rank's sum is rounded once, to 2^-40 of the largest term (less
/// beyond 4 million classes).
RowSoftmax exchange_softmax(const ShardSoftmax& shard, const at::Tensor& target_cosine,
                            const at::Tensor& target_logit, double scale, std::int64_t num_classes,
                            dist::Communicator& communicator) {
  // A maximum need not carry what is not a number, and an integer cannot: a flag does.
  const at::Tensor spoilt = at::isfinite(shard.sums).logical_not_().to(at::kFloat);
  const at::Tensor maxima =
      at::stack({shard.maxima.below, shard.maxima.above, shard.reference, spoilt});
  communicator.all_reduce(maxima, dist::ReduceOp::kMax)->wait_stream();
  const at::Tensor below = maxima.select(0, 0).to(at::kDouble);
  const at::Tensor above = maxima.select(0, 1).to(at::kDouble);
  const at::Tensor reference = maxima.select(0, 2).to(at::kDouble);
  const double units = std::ldexp(1.0, fraction_bits(num_classes));
  const at::Tensor units_of_sum = at::sub(shard.reference.to(at::kDouble), reference)
                                      .mul_(scale)
                                      .exp_()
                                      .mul_(shard.sums)
                                      .mul_(units)
                                      .round_()
                                      .masked_fill_(spoilt > 0, 0.0)
                                      .to(at::kLong);
  communicator.all_reduce(units_of_sum, dist::ReduceOp::kSum)->wait_stream();
  const at::Tensor sum =
      units_of_sum.to(at::kDouble).div_(units).masked_fill_(maxima.select(0, 3) > 0, std::nan(""));
  // Equal cosines below and above the label decide differently: the lowest class wins.
  return {reference.to(at::kFloat), sum, sum.log().add_(reference, scale).sub_(target_logit),
          at::logical_and(target_cosine > below, target_cosine >= above),
          at::maximum(below, above)};
}

/// d loss / d cosines, of the sum over rows of row_weight * loss. target: of the target cosine, [B]
/// float64; factor [B] float64.
struct CosineGradients {
  at::Tensor factor;
  at::Tensor target;
  void multiply(const at::Tensor& weights) const {
    at::Tensor(factor).mul_(weights);
    at::Tensor(target).mul_(weights);
  }
};
CosineGradients cosine_gradients(const RowSoftmax& rows, const at::Tensor& target_slope,
                                 double scale, double row_weight) {
  const at::Tensor non_target_probability = at::sigmoid(rows.gap);
  // No non-target class: the sum is 0 and so is the probability.
  return {
      non_target_probability.div(rows.non_target_sum.clamp_min(1e-300)).mul_(scale * row_weight),
      non_target_probability.mul(target_slope).mul_(-row_weight)};
}

/// [B, D]: this rank's part of d loss / d normalised embeddings.
at::Tensor embedding_gradients(const ShardSoftmax& shard, const TargetClasses& targets,
                               const RowSoftmax& rows, const CosineGradients& gradients,
                               double scale) {
  const at::Tensor factor = at::sub(shard.reference.to(at::kDouble), rows.reference)
                                .mul_(scale)
                                .exp_()
                                .mul_(gradients.factor)
                                .to(at::kFloat);
  at::Tensor all = at::mul(shard.weighted_centres, factor.unsqueeze(1));
  targets.add_gradients(all, gradients.target.to(at::kFloat));
  return all;
}

/// Puts pieces of the centre gradients into one tensor.
class WholeGradient final : public HeadUpdate {
 public:
  WholeGradient(at::Tensor whole, bool add) : whole_(std::move(whole)), add_(add) {}
  void update_rows(const RowGradients& rows) override {
    at::Tensor part = whole_.narrow(0, rows.first, rows.gradient.size(0));
    if (add_) {
      part.add_(rows.gradient);
    } else {
      part.copy_(rows.gradient);
    }
  }

 private:
  at::Tensor whole_;
  bool add_;
};

at::Tensor centres_of(const HeadPass& pass, std::int64_t chunk) {
  return pass.classes().centres(pass.chunk_begin(chunk), pass.chunk_size(chunk));
}

/// Gradient of one chunk, of all passes, before projection.
void sum_chunk(std::vector<HeadPass>& passes, std::int64_t chunk, const at::Tensor& centres,
               const at::Tensor& gradient) {
  passes.back().centre_gradient(chunk, centres, gradient, /*add=*/false);
  for (std::size_t i = 0; i + 1 < passes.size(); ++i)
    passes[i].centre_gradient(chunk, centres, gradient, /*add=*/true);
}

/// Projects the gradient of one chunk, unless the receiver does, and hands it over.
void hand_over(const HeadPass& pass, std::int64_t chunk, const at::Tensor& centres,
               const at::Tensor& gradient, HeadUpdate& update) {
  RowGradients rows = pass.classes().gradients(pass.chunk_begin(chunk), gradient);
  if (update.projects()) {
    rows.inverse_norms = pass.inverse_norms(chunk);
  } else {
    pass.project(chunk, centres, gradient);
  }
  update.update_rows(rows);
}

/// Gradients of all passes, summed, from the last chunk to the first: what the last pass left in
/// the buffer is used before it is overwritten.
void second_pass(std::vector<HeadPass>& passes, HeadUpdate& update) {
  const HeadPass& last = passes.back();
  if (last.chunks() == 0) return;
  const at::Tensor scratch = last.gradient_scratch();
  for (std::int64_t chunk = last.chunks() - 1; chunk >= 0; --chunk) {
    const at::Tensor centres = centres_of(last, chunk);
    const at::Tensor gradient = scratch.narrow(0, 0, centres.size(0));
    sum_chunk(passes, chunk, centres, gradient);
    hand_over(last, chunk, centres, gradient, update);
  }
}

}  // namespace

std::int64_t first_class_of_rank(std::int64_t num_classes, int rank, int world_size) {
  return num_classes * rank / world_size;
}

ShardedHead::ShardedHead(HeadOptions options, dist::Communicator& communicator,
                         HeadReplicas replicas)
    : options_(std::move(options)), communicator_(communicator), replicas_(replicas) {
  TORCH_CHECK(options_.num_classes > 0, "head: number of classes must be positive, got ",
              options_.num_classes);
  TORCH_CHECK(options_.embedding_dim > 0, "head: embedding size must be positive, got ",
              options_.embedding_dim);
  TORCH_CHECK(options_.sample_rate >= 0 && options_.sample_rate <= 1,
              "head: sample rate must be in [0, 1], got ", options_.sample_rate);
  TORCH_CHECK(options_.max_buffer_bytes > 0,
              "head: the logit buffer must have a positive size, got ", options_.max_buffer_bytes,
              " bytes");
  TORCH_CHECK(options_.chunk_classes >= 0, "head: classes per chunk must not be negative, got ",
              options_.chunk_classes);
  TORCH_CHECK(options_.storage == at::kFloat || options_.storage == at::kBFloat16,
              "head: expected float32 or bfloat16 centres, got ", options_.storage);
  TORCH_CHECK(at::isFloatingType(options_.embedding_wire) && options_.embedding_wire != at::kDouble,
              "head: embeddings travel in float32, bfloat16 or float16, got ",
              options_.embedding_wire);
  margin_ = make_margin(options_.margin, communicator.device());
  first_class_ =
      first_class_of_rank(options_.num_classes, communicator.rank(), communicator.world_size());
  const std::int64_t end =
      first_class_of_rank(options_.num_classes, communicator.rank() + 1, communicator.world_size());
  weight_ = initial_centres(options_, first_class_, end - first_class_)
                .to(communicator.device(), options_.storage);
}

GatheredBatch ShardedHead::gather(const at::Tensor& embeddings, const at::Tensor& labels,
                                  const std::vector<std::int64_t>& counts, at::ScalarType wire,
                                  const at::Tensor& weights) {
  if (!dist::is_recording(weight_.device())) label_check_.settle();
  TORCH_CHECK(embeddings.dim() == 2 && embeddings.size(1) == options_.embedding_dim,
              "head: embeddings of sizes ", embeddings.sizes(), ", expected [rows, ",
              options_.embedding_dim, "]");
  return GatheredBatch(embeddings, labels, counts, communicator_, wire, weights);
}

void ShardedHead::check_step(const HeadStepOptions& step, std::int64_t rows) const {
  TORCH_CHECK(rows > 0, "head: the global batch is empty");
  const bool sampled = options_.sample_rate < 1;
  if (step.centre_gradients != CentreGradients::kDefer) {
    TORCH_CHECK(!sampled && options_.storage == at::kFloat,
                "head: sampled or bfloat16 centres have no complete gradient; use a deferred step");
  } else if (!pending_.empty()) {
    TORCH_CHECK(!sampled && !margin_->changes_non_targets() && pending_.back().rows() == rows,
                "head: deferred steps of several batches need equal batches, all classes and a "
                "margin that changes only the target class");
  }
}

StepClasses ShardedHead::step_classes(const at::Tensor& labels, const at::Tensor& all_labels,
                                      const HeadStepOptions& step) const {
  if (options_.sample_rate == 1) return StepClasses::all(weight_, first_class_, labels);
  const std::uint64_t stream = data::combine_key(options_.seed, data::key_of_name("head.sample"));
  const at::Tensor key = step.device_key.defined()
                             ? combine_key(stream, step.device_key)
                             : key_on(weight_.device(), data::combine_key(stream, step.key));
  const std::int64_t count =
      sampled_count(options_.sample_rate, all_labels, first_class_, local_classes());
  return StepClasses::sampled(
      weight_, first_class_, labels,
      sample_classes(all_labels, first_class_, local_classes(), count, key));
}

/// Collective over the copies when the margin needs the whole batch.
TargetLogits ShardedHead::target_logits(const MarginBatch& own, const HeadReplicas::Share& share,
                                        const std::vector<std::int64_t>& counts) {
  if (!replicas_.several() || !margin_->needs_whole_batch()) return margin_->target(own);
  const at::Tensor whole = replicas_.whole(
      at::stack({own.target_cosine.to(at::kDouble), own.norms.to(at::kDouble)}, 1), counts);
  return margin_->target({whole.select(1, 0).to(own.target_cosine.scalar_type()).contiguous(),
                          whole.select(1, 1).to(at::kFloat), own.key, share.first_row, share.rows});
}

LogitBuffer ShardedHead::logit_buffer(std::int64_t classes, std::int64_t rows) {
  const std::int64_t fitting = std::max<std::int64_t>(
      1, options_.max_buffer_bytes / (rows * static_cast<std::int64_t>(sizeof(float))));
  std::int64_t chunk = options_.chunk_classes;
  if (chunk == 0)
    chunk = communicator_.device().is_cpu() ? std::max(kSmallestChunk, kHostChunkElements / rows)
                                            : fitting;
  chunk = std::clamp<std::int64_t>(chunk, 1, std::max<std::int64_t>(1, std::min(fitting, classes)));
  const std::int64_t chunks = std::max<std::int64_t>(1, (classes + chunk - 1) / chunk);
  const std::int64_t slots = std::min(chunks, fitting / chunk);
  if (!buffer_.defined() || buffer_.numel() < slots * chunk * rows) {
    buffer_.reset();
    buffer_ = at::empty({slots * chunk * rows}, weight_.options().dtype(at::kFloat));
  }
  return {buffer_, chunk, slots};
}

HeadStep ShardedHead::forward_backward(const at::Tensor& embeddings, const at::Tensor& labels,
                                       const std::vector<std::int64_t>& counts,
                                       const HeadStepOptions& step_options) {
  const at::NoGradGuard no_grad;
  const HeadReplicas::Share share = replicas_.share_of(counts);
  GatheredBatch batch =
      gather(embeddings, labels, share.counts, options_.embedding_wire, step_options.row_weights);
  check_step(step_options, batch.rows());
  batch.wait();
  label_check_.submit(batch.labels(), options_.num_classes, share.counts, share.first_rank);
  if (communicator_.device().is_cpu()) label_check_.settle();
  if (!pending_.empty()) pending_.back().forget_logits();

  const double scale = margin_->options().scale;
  const at::Tensor all_labels = replicas_.several() && options_.sample_rate < 1
                                    ? replicas_.whole(batch.labels(), counts)
                                    : batch.labels();
  const StepClasses classes = step_classes(batch.labels(), all_labels, step_options);
  HeadPass pass(classes, batch.normalised(), *margin_, logit_buffer(classes.count(), batch.rows()));
  const TargetClasses targets(classes, batch.normalised(), options_.target_kernel);
  const at::Tensor target_cosine = targets.cosine();
  communicator_.all_reduce(target_cosine, dist::ReduceOp::kMax)->wait_stream();
  const TargetLogits target =
      target_logits({target_cosine, batch.norms(), step_options.key}, share, counts);
  const ShardSoftmax shard = pass.first_pass();
  const RowSoftmax rows = exchange_softmax(shard, target_cosine, target.logits, scale,
                                           options_.num_classes, communicator_);
  const CosineGradients gradients = cosine_gradients(
      rows, target.slope, scale, step_options.weight / static_cast<double>(share.all_rows));
  if (batch.weights().defined()) gradients.multiply(batch.weights().to(at::kDouble));

  HeadStep step;
  const at::Tensor all_grads = embedding_gradients(shard, targets, rows, gradients, scale);
  step.grad_embeddings =
      at::empty({batch.local_rows(), options_.embedding_dim}, all_grads.options());
  const auto scatter =
      communicator_.reduce_scatter_v(step.grad_embeddings, all_grads, share.counts);
  pass.set_terms({rows.reference, gradients.factor.to(at::kFloat),
                  targets.over_norms(gradients.target.to(at::kFloat))});
  settle_centres(std::move(pass), step_options.centre_gradients);
  scatter->wait_stream();
  normalise_rows_backward(step.grad_embeddings, batch.local_embeddings(),
                          batch.local_inverse_norms());
  if (step_options.loss_scale.defined()) step.grad_embeddings.mul_(step_options.loss_scale);

  at::Tensor losses = at::log_sigmoid(rows.gap.neg()).neg_();
  if (batch.weights().defined()) losses.mul_(batch.weights());
  step.loss = replicas_.several()
                  ? losses.sum().div_(static_cast<double>(share.all_rows)).to(at::kFloat)
                  : losses.mean().to(at::kFloat);
  step.probability = at::sigmoid(batch.local(rows.gap).neg()).to(at::kFloat);
  step.correct = batch.local(rows.correct).clone();
  step.label_margin = batch.local(target_cosine)
                          .sub(batch.local(rows.best_non_target).clamp_min(-1.0))
                          .mul_(scale)
                          .to(at::kFloat);
  return step;
}

void ShardedHead::settle_centres(HeadPass pass, CentreGradients where) {
  if (where == CentreGradients::kDefer) {
    pending_.push_back(std::move(pass));
    return;
  }
  at::Tensor& gradient = weight_.mutable_grad();
  const bool add = where == CentreGradients::kAccumulate && gradient.defined();
  if (!gradient.defined()) gradient = at::empty_like(weight_);
  std::vector<HeadPass> passes;
  passes.push_back(std::move(pass));
  WholeGradient whole(gradient, add);
  second_pass(passes, whole);
}

void ShardedHead::begin_reduction() {
  if (!replicas_.several() || reduction_ || reduced_) return;
  const at::NoGradGuard no_grad;
  if (pending_.empty()) {
    TORCH_CHECK(weight_.grad().defined(), "head: no centre gradients to sum over its copies");
    reduction_ = replicas_.between().all_reduce(weight_.mutable_grad());
    return;
  }
  std::vector<HeadPass> passes = std::exchange(pending_, {});
  const HeadPass& last = passes.back();
  const std::int64_t classes = last.classes().count();
  if (!summed_.defined() || summed_.size(0) != classes)
    summed_ = at::empty({classes, options_.embedding_dim}, weight_.options().dtype(at::kFloat));
  for (std::int64_t chunk = last.chunks() - 1; chunk >= 0; --chunk)
    sum_chunk(passes, chunk, centres_of(last, chunk),
              summed_.narrow(0, last.chunk_begin(chunk), last.chunk_size(chunk)));
  reduction_ = replicas_.between().all_reduce(summed_);
  reduced_.emplace(std::move(passes.back()));
}

void ShardedHead::finish_reduction() {
  if (reduction_) std::exchange(reduction_, nullptr)->wait_stream();
}

void ShardedHead::drop_pending() {
  finish_reduction();
  reduced_.reset();
  pending_.clear();
}

void ShardedHead::apply(HeadUpdate& update) {
  const at::NoGradGuard no_grad;
  begin_reduction();
  finish_reduction();
  if (reduced_) {
    const HeadPass pass = *std::exchange(reduced_, std::nullopt);
    for (std::int64_t chunk = 0; chunk < pass.chunks(); ++chunk)
      hand_over(pass, chunk, centres_of(pass, chunk),
                summed_.narrow(0, pass.chunk_begin(chunk), pass.chunk_size(chunk)), update);
    return;
  }
  TORCH_CHECK(!pending_.empty(), "head: no deferred step to apply");
  std::vector<HeadPass> passes = std::exchange(pending_, {});
  second_pass(passes, update);
}

}  // namespace diffprob::model

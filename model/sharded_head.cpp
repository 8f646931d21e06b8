#include "model/sharded_head.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <limits>

#include "data/keyed_random.h"
#include "model/class_shard.h"
#include "model/gathered_batch.h"
#include "model/row_norms.h"

namespace diffprob::model {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
constexpr float kInitialDeviation = 0.01f;

/// [classes, dim]: centre of class c is a function of (seed, c) alone.
at::Tensor initial_centres(const HeadOptions& options, std::int64_t first_class, std::int64_t classes) {
  at::Tensor centres = at::empty({classes, options.embedding_dim}, at::kFloat);
  float* values = centres.mutable_data_ptr<float>();
  const std::uint64_t key = data::combine_key(options.seed, data::key_of_name("head.centre"));
  at::parallel_for(0, classes, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      data::KeyedRandom random(data::combine_key(key, static_cast<std::uint64_t>(first_class + c)));
      for (std::int64_t d = 0; d < options.embedding_dim; ++d) values[c * options.embedding_dim + d] = kInitialDeviation * random.normal();
    }
  });
  return centres;
}

/// What all ranks know of a row after the exchange of maxima. Cosines without margin, all [B] float32.
struct RowSummary {
  at::Tensor below;   ///< largest cosine to a class whose id is lower than the label, or -inf
  at::Tensor above;   ///< the same for higher ids
  at::Tensor target;  ///< cosine to the own class; -inf when no rank has it (a label out of range)
};

/// Takes the target elements out of `cosines` [B, C_r] (sets them to -inf). Collective: one MAX all_reduce of [3, B].
/// Equal cosines below and above the label decide differently, but one maximum a rank is enough: if its first place is above the label,
/// every cosine below is smaller.
RowSummary exchange_maxima(const at::Tensor& cosines, const TargetElements& targets, const at::Tensor& labels, std::int64_t first_class,
                           dist::Communicator& communicator) {
  const at::Tensor target = targets.take(cosines, kMinusInfinity);
  targets.put(cosines, kMinusInfinity);
  const RowMaxima others = row_maxima(cosines, first_class);
  const at::Tensor is_below = others.class_id < labels;
  const at::Tensor message = at::stack(
      {others.value.masked_fill(at::logical_not(is_below), kMinusInfinity), others.value.masked_fill(is_below, kMinusInfinity), target});
  communicator.all_reduce(message, dist::ReduceOp::kMax)->wait_stream();
  return {message.select(0, 0), message.select(0, 1), message.select(0, 2)};
}

/// Softmax of a row, split into the own class and all others, so that neither is lost when the other is nearly 1. All [B] float64.
struct RowSoftmax {
  at::Tensor others_sum;    ///< sum over other classes of exp(logit - largest other logit)
  at::Tensor gap;           ///< log sum exp of the others - target logit
  at::Tensor target_slope;  ///< d target logit / d target cosine
};

/// Turns `cosines` [B, C_r] (target elements -inf) into exp(logit - largest other logit). Collective: one SUM all_reduce of [B].
RowSoftmax exchange_sums(const at::Tensor& cosines, const RowSummary& rows, const MarginOptions& margin, dist::Communicator& communicator) {
  // -scale is the lowest logit there is: it keeps the shift finite when there is no other class.
  const at::Tensor shift = at::maximum(rows.below, rows.above).mul_(margin.scale).clamp_min_(-margin.scale);
  at::Tensor exponentials = cosines;
  at::add_out(exponentials, shift.neg().unsqueeze(1), cosines, margin.scale).exp_();
  const at::Tensor sum = exponentials.sum(1).to(at::kDouble);
  communicator.all_reduce(sum, dist::ReduceOp::kSum)->wait_stream();
  const TargetLogits target = apply_margin(rows.target.to(at::kDouble), margin);
  return {sum, sum.log().add_(shift).sub_(target.logits), target.slope};
}

/// exp(logit - shift) [B, C_r] -> d loss / d cosine, in place. loss is the mean over B rows.
void softmax_backward(const at::Tensor& exponentials, const RowSoftmax& rows, const TargetElements& targets, double scale) {
  const auto batch = static_cast<double>(exponentials.size(0));
  const at::Tensor others_probability = at::sigmoid(rows.gap);
  // No other class: the sum is 0 and so is the probability.
  const at::Tensor factor = others_probability.div(rows.others_sum.clamp_min(1e-300)).mul_(scale / batch);
  at::Tensor(exponentials).mul_(factor.to(at::kFloat).unsqueeze(1));
  targets.put(exponentials, others_probability.mul(rows.target_slope).div_(-batch).to(at::kFloat));
}

}  // namespace

std::int64_t first_class_of_rank(std::int64_t num_classes, int rank, int world_size) {
  return num_classes * rank / world_size;
}

ShardedHead::ShardedHead(HeadOptions options, dist::Communicator& communicator)
    : options_(std::move(options)), communicator_(communicator) {
  TORCH_CHECK(options_.num_classes > 0, "head: number of classes must be positive, got ", options_.num_classes);
  TORCH_CHECK(options_.embedding_dim > 0, "head: embedding size must be positive, got ", options_.embedding_dim);
  TORCH_CHECK(options_.margin.scale > 0, "head: scale must be positive, got ", options_.margin.scale);
  first_class_ = first_class_of_rank(options_.num_classes, communicator.rank(), communicator.world_size());
  const std::int64_t end = first_class_of_rank(options_.num_classes, communicator.rank() + 1, communicator.world_size());
  weight_ = initial_centres(options_, first_class_, end - first_class_).to(communicator.device());
}

GatheredBatch ShardedHead::gather(const at::Tensor& embeddings, const at::Tensor& labels, const std::vector<std::int64_t>& counts) {
  label_check_.settle();
  TORCH_CHECK(embeddings.dim() == 2 && embeddings.size(1) == options_.embedding_dim, "head: embeddings of sizes ", embeddings.sizes(),
              ", expected [rows, ", options_.embedding_dim, "]");
  return GatheredBatch(embeddings, labels, counts, communicator_);
}

HeadStep ShardedHead::forward_backward(const at::Tensor& embeddings, const at::Tensor& labels, const std::vector<std::int64_t>& counts) {
  const at::NoGradGuard no_grad;
  GatheredBatch batch = gather(embeddings, labels, counts);
  TORCH_CHECK(batch.rows() > 0, "head: the global batch is empty");

  // Centres are normalised while the exchange runs, into the gradient's memory: it is overwritten only after their last use.
  at::Tensor& gradient = weight_.mutable_grad();
  if (!gradient.defined()) gradient = at::empty_like(weight_);
  const at::Tensor inverse_norms = inverse_row_norms(weight_);
  at::mul_out(gradient, weight_, inverse_norms.unsqueeze(1));
  batch.wait();
  label_check_.submit(batch.labels(), options_.num_classes, counts);
  if (communicator_.device().is_cpu()) label_check_.settle();

  // The only tensor of size [B, C_r]: cosines, then exponentials, then d loss / d cosine. The clamp takes off rounding beyond +-1 and needs
  // no mask in the backward: at +-1 the gradient is along the embedding, and the normalisation removes exactly that part.
  const at::Tensor x = batch.normalised();
  const at::Tensor shard = at::mm(x, gradient.t()).clamp_(-1.0, 1.0);  // [B, C_r]
  const TargetElements targets(batch.labels(), first_class_, local_classes());
  const RowSummary maxima = exchange_maxima(shard, targets, batch.labels(), first_class_, communicator_);
  const RowSoftmax rows = exchange_sums(shard, maxima, options_.margin, communicator_);
  softmax_backward(shard, rows, targets, options_.margin.scale);

  HeadStep step;
  const at::Tensor all_grads = at::mm(shard, gradient);  // [B, D], this rank's part of the sum over classes
  step.grad_embeddings = at::empty({batch.own_rows(), options_.embedding_dim}, x.options());
  const auto scatter = communicator_.reduce_scatter_v(step.grad_embeddings, all_grads, counts);
  at::mm_out(gradient, shard.t(), x);
  normalise_rows_backward(gradient, weight_, inverse_norms);
  scatter->wait_stream();
  normalise_rows_backward(step.grad_embeddings, batch.own_embeddings(), batch.own_inverse_norms());

  step.loss = at::log_sigmoid(rows.gap.neg()).neg_().mean().to(at::kFloat);
  step.probability = at::sigmoid(batch.own(rows.gap).neg()).to(at::kFloat);
  step.correct = batch.own(at::logical_and(maxima.target > maxima.below, maxima.target >= maxima.above)).clone();
  return step;
}

}  // namespace diffprob::model

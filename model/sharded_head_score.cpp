// Scores of ShardedHead: statistics of own classes, one exchange, the merge.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>

#include "model/class_shard.h"
#include "model/gathered_batch.h"
#include "model/row_norms.h"
#include "model/sharded_head.h"

namespace diffprob::model {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
constexpr std::int64_t kNoClass = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kConvertedClasses = 16 << 10;  // bfloat16 centres turned into float32 at a time
constexpr std::int64_t kBlockElements = 32 << 20;     // of logits held at a time

/// Columns of what a rank tells the others about a row, float64 (exact for class ids up to 2^53). "Rest": this rank's classes but the
/// own class of the sample and `kClass`; its sums are over e = exp(logit - logit of kClass), so that neither the own class nor the
/// largest other one hides what is left.
enum Column : std::int64_t {
  kTarget,   ///< cosine to the own class, -inf on ranks without it
  kMaximum,  ///< largest cosine to another class, -inf when there is none
  kClass,    ///< that class
  kSecond,   ///< largest cosine of the rest
  kSum,      ///< rest: sum of e
  kSquares,  ///< rest: sum of e^2
  kEntropy,  ///< rest: sum of -e log e
  kColumns
};

/// [n, C_r] float32, whatever the centres are stored as.
at::Tensor products(const at::Tensor& x, const at::Tensor& weight) {
  if (weight.scalar_type() == at::kFloat) return at::mm(x, weight.t());
  at::Tensor result = at::empty({x.size(0), weight.size(0)}, x.options());
  for (std::int64_t begin = 0; begin < weight.size(0); begin += kConvertedClasses) {
    const std::int64_t count = std::min(kConvertedClasses, weight.size(0) - begin);
    result.narrow(1, begin, count).copy_(at::mm(x, weight.narrow(0, begin, count).to(at::kFloat).t()));
  }
  return result;
}

at::Tensor inverse_centre_norms(const at::Tensor& weight) {
  const at::Tensor inverse = at::empty({weight.size(0)}, weight.options().dtype(at::kFloat));
  for (std::int64_t begin = 0; begin < weight.size(0); begin += kConvertedClasses) {
    const std::int64_t count = std::min(kConvertedClasses, weight.size(0) - begin);
    inverse.narrow(0, begin, count).copy_(inverse_row_norms(weight.narrow(0, begin, count).to(at::kFloat)));
  }
  return inverse;
}

/// cosines [n, C_r] (overwritten) -> [n, kColumns].
at::Tensor shard_statistics(at::Tensor cosines, const at::Tensor& labels, std::int64_t first_class, double scale) {
  const TargetElements targets(labels, first_class, cosines.size(1));
  const at::Tensor target = targets.take(cosines, kMinusInfinity);
  targets.put(cosines, kMinusInfinity);
  const RowMaxima maxima = row_maxima(cosines, first_class);
  const TargetElements largest(maxima.class_id, first_class, cosines.size(1));
  largest.put(cosines, kMinusInfinity);
  const at::Tensor second = cosines.size(1) == 0 ? maxima.value : cosines.amax(1);

  const at::Tensor shift = maxima.value.mul(scale).clamp_min_(-scale);
  at::add_out(cosines, shift.neg().unsqueeze(1), cosines, scale).exp_();
  const at::Tensor sum = cosines.sum(1);
  const at::Tensor squares = at::linalg_vector_norm(cosines, 2, at::IntArrayRef{1}).square_();
  at::special_entr_out(cosines, cosines);
  const at::Tensor entropy = cosines.sum(1);
  return at::stack({target.to(at::kDouble), maxima.value.to(at::kDouble), maxima.class_id.to(at::kDouble), second.to(at::kDouble),
                    sum.to(at::kDouble), squares.to(at::kDouble), entropy.to(at::kDouble)},
                   1);
}

/// exp(value - reference), 0 where value is -inf, and reference - value, 0 there.
struct Mass {
  at::Tensor weight;
  at::Tensor gap;
};
Mass mass(const at::Tensor& value, const at::Tensor& reference) {
  const at::Tensor gap = at::sub(reference, value);
  return {gap.neg().exp_(), gap.masked_fill(gap == -kMinusInfinity, 0.0)};
}

/// Everything about own rows, from the statistics of all ranks [W, b, kColumns]. Sums leave out the largest term and are added to it
/// inside log1p: no digits are lost when one class has nearly all the probability.
class Merge {
 public:
  Merge(const at::Tensor& statistics, const at::Tensor& labels, double scale) : statistics_(statistics), labels_(labels) {
    target_cosine_ = column(kTarget).amax(0);
    maximum_ = column(kMaximum).mul(scale);  // [W, b]
    const at::Tensor values = at::cat({column(kMaximum), target_cosine_.unsqueeze(0)});
    const at::Tensor ids = at::cat({column(kClass).to(at::kLong), labels.unsqueeze(0)});
    const at::Tensor top_cosine = values.amax(0);
    top_class_ = ids.masked_fill(values != top_cosine, kNoClass).amin(0);
    is_top_ = at::logical_and(ids == top_class_, values == top_cosine);  // [W + 1, b]
    top_ = top_cosine.mul(scale);
    target_ = target_cosine_.mul(scale);
    second_ = at::maximum(values.masked_fill(is_top_, kMinusInfinity).amax(0), column(kSecond).amax(0)).mul_(scale);
  }

  void margin_free(HeadScores& scores) const {
    const Mass other = mass(at::cat({maximum_, target_.unsqueeze(0)}), top_);  // [W + 1, b]
    const at::Tensor single = other.weight.masked_fill(is_top_, 0.0);
    const at::Tensor weight = other.weight.slice(0, 0, -1);
    const at::Tensor gap = other.gap.slice(0, 0, -1);
    const at::Tensor rest = single.sum(0).add_(weight.mul(column(kSum)).sum(0));  // exp(logit - top) over all classes but the top one
    const at::Tensor squares = single.square().sum(0).add_(weight.square().mul_(column(kSquares)).sum(0));
    const at::Tensor distance = single.mul(other.gap).sum(0).add_(weight.mul(column(kEntropy).addcmul(column(kSum), gap)).sum(0));
    const at::Tensor log_total = rest.log1p();
    const at::Tensor total = rest.add(1.0);
    scores.top1 = top_class_.masked_fill(top_class_ == kNoClass, -1);
    scores.top1_log_prob = to_float(log_total.neg());
    scores.second_log_prob = to_float(second_.sub(top_).sub_(log_total));
    scores.sum_p2 = to_float(squares.add(1.0).div_(total.square()));
    scores.entropy = to_float(distance.div(total).add_(log_total));
    scores.cosine = to_float(target_cosine_);
  }

  void with_margin(HeadScores& scores, const MarginOptions& margin) const {
    const at::Tensor largest = maximum_.amax(0).clamp_min_(-margin.scale);
    const at::Tensor others = mass(maximum_, largest).weight.mul_(column(kSum).add(1.0)).sum(0);
    const at::Tensor gap = others.log().add_(largest).sub_(apply_margin(target_cosine_, margin).logits);
    scores.nll = to_float(at::log_sigmoid(gap.neg()).neg_());
    scores.probability = to_float(at::sigmoid(gap.neg()));
  }

 private:
  [[nodiscard]] at::Tensor column(Column index) const { return statistics_.select(2, index); }  // [W, b]
  static at::Tensor to_float(const at::Tensor& values) { return values.to(at::kFloat); }

  at::Tensor statistics_;
  at::Tensor labels_;
  at::Tensor target_cosine_, target_, top_, second_;  // [b]
  at::Tensor top_class_;
  at::Tensor maximum_;
  at::Tensor is_top_;
};

}  // namespace

HeadScores ShardedHead::score(const at::Tensor& embeddings, const at::Tensor& labels, const std::vector<std::int64_t>& counts,
                              const MarginOptions& margin) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(margin.scale > 0, "head: scale must be positive, got ", margin.scale);
  GatheredBatch batch = gather(embeddings, labels, counts);
  const at::Tensor inverse_norms = inverse_centre_norms(weight_);
  batch.wait();
  if (batch.rows() > 0) {
    label_check_.submit(batch.labels(), options_.num_classes, counts);
    label_check_.settle();
  }

  const at::Tensor own = at::empty({batch.rows(), kColumns}, weight_.options().dtype(at::kDouble));
  const std::int64_t block = std::max<std::int64_t>(1, kBlockElements / std::max<std::int64_t>(1, local_classes()));
  for (std::int64_t begin = 0; begin < batch.rows(); begin += block) {
    const std::int64_t count = std::min(block, batch.rows() - begin);
    const at::Tensor x = batch.normalised().narrow(0, begin, count);
    const at::Tensor cosines = products(x, weight_).mul_(inverse_norms).clamp_(-1.0, 1.0);
    own.narrow(0, begin, count).copy_(shard_statistics(cosines, batch.labels().narrow(0, begin, count), first_class_, margin.scale));
  }
  const at::Tensor all = at::empty({communicator_.world_size() * batch.rows(), std::int64_t{kColumns}}, own.options());
  communicator_.all_gather(all, own)->wait_stream();

  HeadScores scores;
  const at::Tensor statistics = all.view({communicator_.world_size(), batch.rows(), kColumns});
  const Merge merge(statistics.narrow(1, batch.first_own_row(), batch.own_rows()), batch.own(batch.labels()), margin.scale);
  merge.margin_free(scores);
  merge.with_margin(scores, margin);
  scores.norm = at::linalg_vector_norm(batch.own_embeddings(), 2, at::IntArrayRef{1});
  return scores;
}

}  // namespace diffprob::model

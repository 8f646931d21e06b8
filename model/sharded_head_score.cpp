// Scores of ShardedHead: three steps over own classes, each followed by one exchange of O(B) integers, and the merge.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "model/gathered_batch.h"
#include "model/row_norms.h"
#include "model/score_merge.h"
#include "model/score_pass.h"
#include "model/sharded_head.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kCosinesAtOnce = 32 << 20;
constexpr std::int64_t kMarginRows = 8;  // rows of which margins are computed together, see target_logits()

/// What the ranks have found out about a row, as it travels: int64.
enum Column : std::int64_t { kFirst, kTarget, kSecond, kSums, kColumns = kSums + 3 };

/// [b] float64 target logits with a margin. The elementwise functions of LibTorch may give another last bit at the end of a tensor than in
/// the middle: rows are taken in equal groups from the first one on.
at::Tensor target_logits(const at::Tensor& cosines, const MarginOptions& margin) {
  const at::Tensor logits = at::empty_like(cosines);
  for (std::int64_t begin = 0; begin < cosines.size(0); begin += kMarginRows) {
    const std::int64_t count = std::min(kMarginRows, cosines.size(0) - begin);
    const at::Tensor group = at::zeros({kMarginRows}, cosines.options());
    group.narrow(0, 0, count).copy_(cosines.narrow(0, begin, count));
    logits.narrow(0, begin, count).copy_(apply_margin(group, margin).logits.narrow(0, 0, count));
  }
  return logits;
}

/// statistics [kColumns, b] int64 and labels [b], on the host.
class RowReader {
 public:
  RowReader(at::Tensor statistics, int bits) : statistics_(std::move(statistics)), unit_(std::ldexp(1.0, -bits)) {}
  [[nodiscard]] RowStatistics operator()(std::int64_t row) const {
    RowStatistics result;
    result.target = cosine_of_key(at(kTarget, row));
    result.first = cosine_of_key(at(kFirst, row));
    result.first_class = class_of_key(at(kFirst, row));
    result.second = cosine_of_key(at(kSecond, row));
    result.e = unit_ * static_cast<double>(at(kSums, row));
    result.squares = unit_ * static_cast<double>(at(kSums + 1, row));
    result.entropy = unit_ * static_cast<double>(at(kSums + 2, row));
    return result;
  }

 private:
  [[nodiscard]] std::int64_t at(std::int64_t column, std::int64_t row) const {
    return statistics_.const_data_ptr<std::int64_t>()[column * statistics_.size(1) + row];
  }
  at::Tensor statistics_;
  double unit_;
};

HeadScores empty_scores(std::int64_t rows) {
  const auto column = [rows](at::ScalarType type) { return at::empty({rows}, type); };
  HeadScores scores;
  for (at::Tensor* tensor : {&scores.nll, &scores.probability, &scores.top1_log_prob, &scores.second_log_prob, &scores.sum_p2,
                             &scores.entropy, &scores.cosine}) {
    *tensor = column(at::kFloat);
  }
  scores.top1 = column(at::kLong);
  return scores;
}

HeadScores merge_rows(const RowReader& rows, const at::Tensor& labels, const MarginOptions& margin) {
  const std::int64_t count = labels.size(0);
  HeadScores scores = empty_scores(count);
  auto* cosine = scores.cosine.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < count; ++i) cosine[i] = rows(i).target;
  const at::Tensor logits = target_logits(scores.cosine.to(at::kDouble), margin);
  for (std::int64_t i = 0; i < count; ++i) {
    const RowScores row = merge_scores(rows(i), labels.const_data_ptr<std::int64_t>()[i], margin.scale, logits.const_data_ptr<double>()[i]);
    scores.nll.mutable_data_ptr<float>()[i] = row.nll;
    scores.probability.mutable_data_ptr<float>()[i] = row.probability;
    scores.top1.mutable_data_ptr<std::int64_t>()[i] = row.top1;
    scores.top1_log_prob.mutable_data_ptr<float>()[i] = row.top1_log_prob;
    scores.second_log_prob.mutable_data_ptr<float>()[i] = row.second_log_prob;
    scores.sum_p2.mutable_data_ptr<float>()[i] = row.sum_p2;
    scores.entropy.mutable_data_ptr<float>()[i] = row.entropy;
  }
  return scores;
}

}  // namespace

HeadScores ShardedHead::score(const at::Tensor& embeddings, const at::Tensor& labels, const std::vector<std::int64_t>& counts,
                              const MarginOptions& margin, std::int64_t first_row) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(margin.scale > 0, "head: scale must be positive, got ", margin.scale);
  GatheredBatch batch = gather(embeddings, labels, counts);
  batch.wait();
  if (batch.rows() > 0) {
    label_check_.submit(batch.labels(), options_.num_classes, counts);
    label_check_.settle();
  }
  const at::Device device = communicator_.device();
  if (device.is_cpu() && !workers_) workers_ = std::make_unique<BlockWorkers>();
  ScorePass pass(weight_, first_class_, workers_.get());
  const int bits = fraction_bits(options_.num_classes);
  const at::Tensor statistics = at::empty({std::int64_t{kColumns}, batch.rows()}, batch.labels().options());
  const std::int64_t at_once = ScorePass::rows_at_once(options_.num_classes, communicator_.world_size(), kCosinesAtOnce, device);
  std::int64_t place = first_row % ScorePass::block_rows(device);  // of the next row in its block
  for (std::int64_t begin = 0, count = 0; begin < batch.rows(); begin += count, place = 0) {
    count = std::min(at_once - place, batch.rows() - begin);
    const at::Tensor part = statistics.narrow(1, begin, count);
    const at::Tensor maxima = pass.maxima(batch.normalised().narrow(0, begin, count), batch.labels().narrow(0, begin, count), place);
    communicator_.all_reduce(maxima, dist::ReduceOp::kMax)->wait_stream();
    const at::Tensor second = pass.second_maxima(maxima.select(0, 0));
    communicator_.all_reduce(second, dist::ReduceOp::kMax)->wait_stream();
    const at::Tensor sums = pass.sums(maxima.select(0, 0), second, margin.scale, bits);
    communicator_.all_reduce(sums, dist::ReduceOp::kSum)->wait_stream();
    part.narrow(0, kFirst, 2).copy_(maxima);
    part.select(0, kSecond).copy_(second);
    part.narrow(0, kSums, 3).copy_(sums);
  }
  const at::Tensor own = statistics.narrow(1, batch.first_own_row(), batch.own_rows()).to(at::kCPU).contiguous();
  HeadScores scores = merge_rows(RowReader(own, bits), batch.own(batch.labels()).to(at::kCPU).contiguous(), margin);
  scores.norm = row_norms(batch.own_embeddings()).to(at::kCPU);
  return scores;
}

}  // namespace diffprob::model

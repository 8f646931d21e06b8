#include "model/head/pending_scores.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/head/score_merge.h"
#include "model/head/score_pass.h"

namespace diffprob::model {
namespace {

/// Number of rows whose margins are computed together, see target_logits().
constexpr std::int64_t kMarginRows = 8;
constexpr std::int64_t kLabelColumn = kScoreColumns;
constexpr std::int64_t kNormColumn = kScoreColumns + 1;

/// [b] float64 target logits with a margin. The elementwise functions of LibTorch may give another
/// last bit at the end of a tensor than in the middle: rows are taken in equal groups from the
/// first one on.
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

/// statistics [kScoreColumns, b] int64 on the host.
class RowReader {
 public:
  RowReader(at::Tensor statistics, int bits)
      : statistics_(std::move(statistics)), unit_(std::ldexp(1.0, -bits)) {}
  [[nodiscard]] RowStatistics operator()(std::int64_t row) const {
    RowStatistics result;
    result.target = cosine_of_key(at(kTargetColumn, row));
    result.first = cosine_of_key(at(kFirstColumn, row));
    result.first_class = class_of_key(at(kFirstColumn, row));
    result.second = cosine_of_key(at(kSecondColumn, row));
    result.e = unit_ * static_cast<double>(at(kSumColumns, row));
    result.squares = unit_ * static_cast<double>(at(kSumColumns + 1, row));
    result.entropy = unit_ * static_cast<double>(at(kSumColumns + 2, row));
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
  for (at::Tensor* tensor :
       {&scores.nll, &scores.probability, &scores.top1_log_prob, &scores.second_log_prob,
        &scores.sum_p2, &scores.entropy, &scores.cosine}) {
    *tensor = column(at::kFloat);
  }
  scores.top1 = column(at::kLong);
  return scores;
}

HeadScores merge_rows(const RowReader& rows, const at::Tensor& labels,
                      const MarginOptions& margin) {
  const std::int64_t count = labels.size(0);
  HeadScores scores = empty_scores(count);
  auto* cosine = scores.cosine.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < count; ++i) cosine[i] = rows(i).target;
  const at::Tensor logits = target_logits(scores.cosine.to(at::kDouble), margin);
  for (std::int64_t i = 0; i < count; ++i) {
    const RowScores row = merge_scores(rows(i), labels.const_data_ptr<std::int64_t>()[i],
                                       margin.scale, logits.const_data_ptr<double>()[i]);
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

PendingScores::PendingScores(const at::Tensor& statistics, const at::Tensor& labels,
                             const at::Tensor& norms, int bits, const MarginOptions& margin)
    : bits_(bits), margin_(margin) {
  const at::Device device = statistics.device();
  const at::Tensor all = at::empty({kScoreColumns + 2, labels.size(0)}, statistics.options());
  all.narrow(0, 0, kScoreColumns).copy_(statistics);
  all.select(0, kLabelColumn).copy_(labels);
  all.select(0, kNormColumn).copy_(norms.to(at::kDouble).view(at::kLong));
  host_ = all;
  if (device.is_cpu()) return;
  host_ = at::empty(all.sizes(), at::TensorOptions(at::kLong).pinned_memory(true));
  host_.copy_(all, /*non_blocking=*/true);
  copied_.emplace(device.type());
  copied_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
}

HeadScores PendingScores::finish() const {
  if (copied_) copied_->synchronize();
  HeadScores scores = merge_rows(RowReader(host_.narrow(0, 0, kScoreColumns), bits_),
                                 host_.select(0, kLabelColumn), margin_);
  scores.norm = host_.select(0, kNormColumn).view(at::kDouble).to(at::kFloat);
  return scores;
}

}  // namespace diffprob::model

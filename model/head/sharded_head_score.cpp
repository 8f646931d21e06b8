// Scores of ShardedHead: three steps over local classes, each followed by one exchange of O(B)
// integers, and the merge.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/head/gathered_batch.h"
#include "model/head/score_pass.h"
#include "model/head/sharded_head.h"
#include "model/softmax/row_norms.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kCosinesAtOnce = 32 << 20;

}  // namespace

void ShardedHead::use_centres(std::shared_ptr<const IdentityCentres> centres) {
  TORCH_CHECK(
      centres->num_classes() == options_.num_classes && centres->dim() == options_.embedding_dim,
      "head: centres of ", centres->num_classes(), " classes and ", centres->dim(),
      " dimensions, expected ", options_.num_classes, " and ", options_.embedding_dim);
  const at::NoGradGuard no_grad;
  weight_.copy_(centres->centres());
  centres_ = std::move(centres);
}

HeadScores ShardedHead::score(const at::Tensor& embeddings, const at::Tensor& labels,
                              const std::vector<std::int64_t>& counts, const MarginOptions& margin,
                              std::int64_t first_row) {
  const PendingScores pending = begin_score(embeddings, labels, counts, margin, first_row);
  label_check_.settle();
  return pending.finish();
}

PendingScores ShardedHead::begin_score(const at::Tensor& embeddings, const at::Tensor& labels,
                                       const std::vector<std::int64_t>& counts,
                                       const MarginOptions& margin, std::int64_t first_row) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(margin.scale > 0, "head: scale must be positive, got ", margin.scale);
  const HeadReplicas::Share share = replicas_.share_of(counts);
  GatheredBatch batch = gather(embeddings, labels, share.counts);
  batch.wait();
  if (batch.rows() > 0) {
    label_check_.submit(batch.labels(), options_.num_classes, share.counts, share.first_rank);
    if (communicator_.device().is_cpu()) label_check_.settle();
  }
  const at::Device device = communicator_.device();
  if (device.is_cpu() && !workers_) workers_ = std::make_unique<BlockWorkers>();
  ScorePass pass(weight_, first_class_, workers_.get(),
                 centres_ ? centres_->absent() : at::Tensor());
  const int bits = fraction_bits(options_.num_classes);
  const at::Tensor statistics =
      at::empty({std::int64_t{kScoreColumns}, batch.rows()}, batch.labels().options());
  const std::int64_t at_once = ScorePass::rows_at_once(
      options_.num_classes, communicator_.world_size(), kCosinesAtOnce, device);
  // Of the next row in its block.
  std::int64_t place = (first_row + share.first_row) % ScorePass::block_rows(device);
  for (std::int64_t begin = 0, count = 0; begin < batch.rows(); begin += count, place = 0) {
    count = std::min(at_once - place, batch.rows() - begin);
    const at::Tensor part = statistics.narrow(1, begin, count);
    const at::Tensor rows = batch.normalised().narrow(0, begin, count);
    const at::Tensor labels_of_rows = batch.labels().narrow(0, begin, count);
    const at::Tensor maxima = pass.maxima(rows, labels_of_rows, place);
    if (centres_)
      maxima.select(0, 1).copy_(target_keys(centres_->leave_one_out(rows, labels_of_rows)));
    communicator_.all_reduce(maxima, dist::ReduceOp::kMax)->wait_stream();
    const at::Tensor second = pass.second_maxima(maxima.select(0, 0));
    communicator_.all_reduce(second, dist::ReduceOp::kMax)->wait_stream();
    const at::Tensor sums = pass.sums(maxima.select(0, 0), second, margin.scale, bits);
    communicator_.all_reduce(sums, dist::ReduceOp::kSum)->wait_stream();
    part.narrow(0, kFirstColumn, 2).copy_(maxima);
    part.select(0, kSecondColumn).copy_(second);
    part.narrow(0, kSumColumns, 3).copy_(sums);
  }
  return {statistics.narrow(1, batch.first_local_row(), batch.local_rows()),
          batch.local(batch.labels()), row_norms(batch.local_embeddings()), bits, margin};
}

}  // namespace diffprob::model

#include "model/head/gathered_batch.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <numeric>

#include "model/softmax/row_norms.h"

namespace diffprob::model {
namespace {

// Two for the label, one for the norm; four keep rows on 16 bytes, which matrix products on GPUs
// want.
constexpr std::int64_t kExtraColumns = 4;
constexpr std::int64_t kLabelColumns = 2;

}  // namespace

GatheredBatch::GatheredBatch(const at::Tensor& embeddings, const at::Tensor& labels,
                             const std::vector<std::int64_t>& counts,
                             dist::Communicator& communicator) {
  const auto rank = static_cast<std::size_t>(communicator.rank());
  TORCH_CHECK(counts.size() == static_cast<std::size_t>(communicator.world_size()),
              "head: ", counts.size(), " row counts for ", communicator.world_size(), " ranks");
  TORCH_CHECK(embeddings.dim() == 2 && embeddings.size(0) == counts[rank],
              "head: embeddings of sizes ", embeddings.sizes(), ", expected ", counts[rank],
              " rows on rank ", rank);
  TORCH_CHECK(
      labels.scalar_type() == at::kLong && labels.dim() == 1 && labels.size(0) == counts[rank],
      "head: labels of type ", labels.scalar_type(), " and sizes ", labels.sizes(), ", expected ",
      counts[rank], " int64 labels on rank ", rank);
  first_local_row_ =
      std::accumulate(counts.begin(), counts.begin() + communicator.rank(), std::int64_t{0});
  const std::int64_t dim = embeddings.size(1);
  const std::int64_t rows = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});

  local_embeddings_ =
      embeddings.detach().to(at::TensorOptions().device(communicator.device()).dtype(at::kFloat));
  const at::Tensor norms = row_norms(local_embeddings_);
  local_inverse_norms_ = inverse_of_norms(norms);
  const at::Tensor local =
      at::zeros({counts[rank], dim + kExtraColumns}, local_embeddings_.options());
  local.narrow(1, 0, dim).copy_(local_embeddings_).mul_(local_inverse_norms_.unsqueeze(1));
  local.narrow(1, dim, kLabelColumns)
      .copy_(labels.to(communicator.device()).unsqueeze(1).contiguous().view(at::kFloat));
  local.select(1, dim + kLabelColumns).copy_(norms);
  message_ = at::empty({rows, dim + kExtraColumns}, local.options());
  exchange_ = communicator.all_gather_v(message_, local, counts);
}

void GatheredBatch::wait() {
  exchange_->wait_stream();
  const at::Tensor columns = message_.narrow(1, local_embeddings_.size(1), kLabelColumns);
  labels_ = columns.clone(at::MemoryFormat::Contiguous).view(at::kLong).squeeze(1);
}

at::Tensor GatheredBatch::normalised() const {
  return message_.narrow(1, 0, local_embeddings_.size(1));
}

at::Tensor GatheredBatch::norms() const {
  return message_.select(1, local_embeddings_.size(1) + kLabelColumns).clone();
}

}  // namespace diffprob::model

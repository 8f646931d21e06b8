#include "model/head/gathered_batch.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <numeric>

#include "model/softmax/row_norms.h"

namespace diffprob::model {
namespace {

// For the label (8 bytes), the norm (4) and the weight (4): rows stay on 16 bytes, which matrix
// products on GPUs want.
constexpr std::int64_t kExtraBytes = 16;

/// Columns of a message of this type that hold one number of `bytes` bytes.
std::int64_t columns(at::ScalarType wire, std::int64_t bytes) {
  return bytes / static_cast<std::int64_t>(at::elementSize(wire));
}

/// [rows] numbers <-> [rows, columns] of the message, bit for bit.
at::Tensor as_columns(const at::Tensor& numbers, at::ScalarType wire) {
  return numbers.unsqueeze(1).contiguous().view(wire);
}
at::Tensor from_columns(const at::Tensor& columns, at::ScalarType type) {
  return columns.clone(at::MemoryFormat::Contiguous).view(type).squeeze(1);
}

}  // namespace

GatheredBatch::GatheredBatch(const at::Tensor& embeddings, const at::Tensor& labels,
                             const std::vector<std::int64_t>& counts,
                             dist::Communicator& communicator, at::ScalarType wire,
                             const at::Tensor& weights)
    : weighted_(weights.defined()) {
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
  TORCH_CHECK(!weighted_ || (weights.scalar_type() == at::kFloat && weights.dim() == 1 &&
                             weights.size(0) == counts[rank]),
              "head: weights of type ", weights.scalar_type(), " and sizes ", weights.sizes(),
              ", expected ", counts[rank], " float32 weights on rank ", rank);
  first_local_row_ =
      std::accumulate(counts.begin(), counts.begin() + communicator.rank(), std::int64_t{0});
  const std::int64_t dim = embeddings.size(1);
  const std::int64_t rows = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});

  local_embeddings_ =
      embeddings.detach().to(at::TensorOptions().device(communicator.device()).dtype(at::kFloat));
  const at::Tensor norms = row_norms(local_embeddings_);
  local_inverse_norms_ = inverse_of_norms(norms);
  const std::int64_t label_columns = columns(wire, 8);
  const at::Tensor local = at::zeros({counts[rank], dim + columns(wire, kExtraBytes)},
                                     local_embeddings_.options().dtype(wire));
  if (wire == at::kFloat) {
    local.narrow(1, 0, dim).copy_(local_embeddings_).mul_(local_inverse_norms_.unsqueeze(1));
  } else {  // rounded once
    local.narrow(1, 0, dim).copy_(local_embeddings_.mul(local_inverse_norms_.unsqueeze(1)));
  }
  local.narrow(1, dim, label_columns).copy_(as_columns(labels.to(communicator.device()), wire));
  const std::int64_t norm_columns = columns(wire, 4);
  local.narrow(1, dim + label_columns, norm_columns).copy_(as_columns(norms, wire));
  if (weighted_)
    local.narrow(1, dim + label_columns + norm_columns, norm_columns)
        .copy_(as_columns(weights.to(communicator.device()), wire));
  message_ = at::empty({rows, local.size(1)}, local.options());
  exchange_ = communicator.all_gather_v(message_, local, counts);
}

void GatheredBatch::wait() {
  exchange_->wait_stream();
  const at::ScalarType wire = message_.scalar_type();
  const std::int64_t dim = local_embeddings_.size(1), label_columns = columns(wire, 8);
  normalised_ = message_.narrow(1, 0, dim).to(at::kFloat);
  labels_ = from_columns(message_.narrow(1, dim, label_columns), at::kLong);
  const std::int64_t norm_columns = columns(wire, 4);
  norms_ = from_columns(message_.narrow(1, dim + label_columns, norm_columns), at::kFloat);
  if (weighted_)
    weights_ = from_columns(message_.narrow(1, dim + label_columns + norm_columns, norm_columns),
                            at::kFloat);
}

}  // namespace diffprob::model

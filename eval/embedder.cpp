#include "eval/embedder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <torch/types.h>

#include "data/error.h"
#include "eval/face_network.h"

namespace diffprob::eval {
namespace {

/// Which images each rank embeds. The set is cut into the same batches whatever the number of ranks, and each rank takes a run of whole
/// batches: an image always meets the same neighbours, so its embedding is bit-equal for any number of ranks.
struct Split {
  std::int64_t images;
  std::int64_t batch;
  std::int64_t ranks;

  [[nodiscard]] std::int64_t begin(std::int64_t rank) const {
    const std::int64_t batches = (images + batch - 1) / batch;
    return std::min(images, batches * rank / ranks * batch);
  }
  [[nodiscard]] std::vector<std::int64_t> counts() const {
    std::vector<std::int64_t> result;
    for (std::int64_t rank = 0; rank < ranks; ++rank) result.push_back(begin(rank + 1) - begin(rank));
    return result;
  }
};

/// Embeddings of images [begin, end), on the device. [end - begin, D] float32
at::Tensor embed_range(ResidentSet& set, const FaceNetwork& network, std::int64_t batch, std::pair<std::int64_t, std::int64_t> range) {
  auto embeddings = at::empty({range.second - range.first, network.dim()}, at::TensorOptions(at::kFloat).device(network.device()));
  for (std::int64_t begin = range.first; begin < range.second; begin += batch) {
    const std::int64_t end = std::min(begin + batch, range.second);
    // On a GPU the next batch is decoded, when it is the first time, while this one is embedded.
    const auto [straight, mirrored] = network.embed(set.images(begin, end, network.device().is_cuda()));
    const auto sums = straight + mirrored;
    TORCH_CHECK(sums.dim() == 2 && sums.size(0) == end - begin && sums.size(1) == embeddings.size(1), "backbone: want embeddings [",
                end - begin, ", ", embeddings.size(1), "], got ", sums.sizes());
    embeddings.narrow(0, begin - range.first, end - begin).copy_(sums);
  }
  return embeddings;
}

/// Throws on all ranks when one of them has met an unreadable image; without this the others would wait in the gather.
void agree_on_error(const std::optional<data::DataError>& error, const std::string& set, dist::Communicator& communicator) {
  auto failed_rank = at::full({1}, error ? communicator.rank() : -1, at::TensorOptions(at::kLong).device(communicator.device()));
  communicator.all_reduce(failed_rank, dist::ReduceOp::kMax)->wait_host();
  if (error) throw data::DataError(*error);
  const auto rank = failed_rank.item<std::int64_t>();
  if (rank >= 0)
    throw data::DataError(c10::str("verification set ", set, ": rank ", rank, " met an unreadable image (its own message names it)"));
}

}  // namespace

at::Tensor embed_flip_sum(ResidentSet& resident, model::Backbone& backbone, dist::Communicator& communicator,
                          const EmbedderOptions& options) {
  const data::VerificationSet& set = resident.set();
  TORCH_CHECK(options.batch_per_rank > 0, "embed: want a positive batch, got ", options.batch_per_rank);
  TORCH_CHECK(set.images.size() == 2 * set.same.size(), "verification set ", set.name, ": ", set.images.size(), " images, but ",
              set.same.size(), " pairs");
  const at::NoGradGuard no_grad;
  const Split split{static_cast<std::int64_t>(set.images.size()), options.batch_per_rank, communicator.world_size()};
  const auto fold = options.fold ? FaceNetwork::Fold::kWhereKnown : FaceNetwork::Fold::kNever;
  const FaceNetwork network(backbone, communicator.device(), fold, options.type);

  at::Tensor mine;  // [counts[rank], D]
  std::optional<data::DataError> error;
  try {
    const auto rank = communicator.rank();
    mine = embed_range(resident, network, split.batch, {split.begin(rank), split.begin(rank + 1)});
  } catch (const data::DataError& e) {
    error = e;
  }
  agree_on_error(error, set.name, communicator);

  auto all = at::empty({split.images, backbone.embedding_dim()}, mine.options());
  if (split.images > 0) communicator.all_gather_v(all, mine, split.counts())->wait_host();
  return all.cpu();
}

std::vector<double> pair_distances(const at::Tensor& embeddings) {
  TORCH_CHECK(embeddings.dim() == 2 && embeddings.size(0) % 2 == 0, "pair_distances: want embeddings [2 * pairs, D], got ",
              embeddings.sizes());
  const at::NoGradGuard no_grad;
  const auto all = embeddings.to(at::kCPU);
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(all.size(0) / 2));
  constexpr std::int64_t kRows = 256;  // at a time: their float64 copies stay in the cache
  for (std::int64_t begin = 0; begin < all.size(0); begin += kRows) {
    const auto rows = all.slice(0, begin, begin + kRows).to(at::kDouble);
    auto norms = at::linalg_vector_norm(rows, 2, {1}, /*keepdim=*/true);
    norms.masked_fill_(norms == 0, 1);  // a row of zeros has no direction: it stays zeros, as in the protocol's scripts
    const auto pairs = (rows / norms).view({-1, 2, rows.size(1)});
    const auto distances = (pairs.select(1, 0) - pairs.select(1, 1)).square().sum(1).contiguous();
    const auto* const values = distances.const_data_ptr<double>();
    result.insert(result.end(), values, values + distances.numel());
  }
  return result;
}

SetReport verify_set(ResidentSet& set, model::Backbone& backbone, dist::Communicator& communicator, const EmbedderOptions& options) {
  const auto distances = pair_distances(embed_flip_sum(set, backbone, communicator, options));
  return report_pairs(set.set().name, distances, set.set().same, options.folds);
}

}  // namespace diffprob::eval

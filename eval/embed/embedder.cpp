#include "eval/embed/embedder.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include "data/error.h"
#include "data/loading/sampler.h"
#include "model/inference/face_embedder.h"

namespace diffprob::eval {
namespace {

template <class Number>
double squared_length(const Number* row, std::int64_t dim) {
  double sum = 0;
  for (std::int64_t d = 0; d < dim; ++d)
    sum += static_cast<double>(row[d]) * static_cast<double>(row[d]);
  return sum;
}

/// Lengths of rows [rows, D], on their device. [rows] float64
at::Tensor lengths_of(const at::Tensor& rows) {
  if (!rows.device().is_cpu())
    return at::linalg_vector_norm(rows, 2, {1}, /*keepdim=*/false, at::kDouble);
  // Plain loops: a length has the same bits whatever rows stand beside it.
  const auto all = rows.to(at::kFloat).contiguous();
  auto lengths = at::empty({all.size(0)}, at::kDouble);
  for (std::int64_t i = 0; i < all.size(0); ++i)
    lengths.mutable_data_ptr<double>()[i] =
        std::sqrt(squared_length(all.const_data_ptr<float>() + i * all.size(1), all.size(1)));
  return lengths;
}

/// A rank's embeddings, on the device.
struct EmbeddedRange {
  at::Tensor sums;     ///< [rows, D] float32
  at::Tensor lengths;  ///< [rows, 2] float64: of the image and of its mirror image
};

EmbeddedRange embed_range(ResidentSet& set, const model::FaceEmbedder& network, std::int64_t batch,
                          data::RowRange rows) {
  const std::int64_t count = rows.end - rows.begin;
  const auto on_device = at::TensorOptions().device(network.device());
  EmbeddedRange embedded{at::empty({count, network.dim()}, on_device.dtype(at::kFloat)),
                         at::empty({count, 2}, on_device.dtype(at::kDouble))};
  for (std::int64_t begin = rows.begin; begin < rows.end; begin += batch) {
    const std::int64_t end = std::min(begin + batch, rows.end);
    // On a GPU the next batch is decoded, when it is the first time, while this one is embedded.
    const auto [straight, mirrored] =
        network.embed_with_mirror(set.images(begin, end, network.device().is_cuda()));
    embedded.sums.narrow(0, begin - rows.begin, end - begin).copy_(straight + mirrored);
    auto lengths = embedded.lengths.narrow(0, begin - rows.begin, end - begin);
    lengths.select(1, 0).copy_(lengths_of(straight));
    lengths.select(1, 1).copy_(lengths_of(mirrored));
  }
  return embedded;
}

/// Throws on all ranks when one of them has met an unreadable image; without this the others would
/// wait in the gather.
void agree_on_error(const std::optional<data::DataError>& error, const std::string& set,
                    dist::Communicator& communicator) {
  auto failed_rank = at::full({1}, error ? communicator.rank() : -1,
                              at::TensorOptions(at::kLong).device(communicator.device()));
  communicator.all_reduce(failed_rank, dist::ReduceOp::kMax)->wait_host();
  if (error) throw data::DataError(*error);
  const auto rank = failed_rank.item<std::int64_t>();
  if (rank >= 0)
    throw data::DataError(c10::str("verification set ", set, ": rank ", rank,
                                   " found an unreadable image (see the message of that rank)"));
}

template <class Number>
double length(const Number* row, std::int64_t dim) {
  const double sum = squared_length(row, dim);
  // A row of zeros has no direction: it stays zeros, as in the protocol's scripts.
  return sum == 0 ? 1.0 : std::sqrt(sum);
}

/// Squared distance of a / |a| and b / |b|.
template <class Number>
double unit_distance(const Number* a, const Number* b, std::int64_t dim) {
  const double a_length = length(a, dim);
  const double b_length = length(b, dim);
  double sum = 0;
  for (std::int64_t d = 0; d < dim; ++d) {
    const double difference =
        static_cast<double>(a[d]) / a_length - static_cast<double>(b[d]) / b_length;
    sum += difference * difference;
  }
  return sum;
}

/// Of rows 2i and 2i + 1. Plain loops: a distance depends on its two rows alone.
template <class Number>
std::vector<double> distances_of(const at::Tensor& rows) {
  const std::int64_t dim = rows.size(1);
  std::vector<double> result(static_cast<std::size_t>(rows.size(0) / 2));
  at::parallel_for(0, rows.size(0) / 2, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Number* const first = rows.const_data_ptr<Number>() + 2 * i * dim;
      result[static_cast<std::size_t>(i)] = unit_distance(first, first + dim, dim);
    }
  });
  return result;
}

/// [rows, 2] -> mean; in the order of InsightFace's scripts, the lengths of all images first.
double mean_of_views(const at::Tensor& lengths) {
  double sum = 0;
  for (std::int64_t view = 0; view < 2; ++view) {
    for (std::int64_t i = 0; i < lengths.size(0); ++i)
      sum += lengths.const_data_ptr<double>()[2 * i + view];
  }
  return sum / static_cast<double>(lengths.numel());
}

}  // namespace

double mean_length(const at::Tensor& embeddings) {
  TORCH_CHECK(embeddings.dim() == 2, "mean_length: expected embeddings [rows, D], got ",
              embeddings.sizes());
  const at::NoGradGuard no_grad;
  const auto lengths = lengths_of(embeddings.to(at::kCPU));
  double sum = 0;
  for (std::int64_t i = 0; i < lengths.numel(); ++i) sum += lengths.const_data_ptr<double>()[i];
  return sum / static_cast<double>(lengths.numel());
}

SetEmbeddings embed_set(ResidentSet& resident, model::Backbone& backbone,
                        dist::Communicator& communicator, const EmbedderOptions& options) {
  const data::VerificationSet& set = resident.set();
  TORCH_CHECK(options.batch_per_rank > 0, "embed: expected a positive batch, got ",
              options.batch_per_rank);
  TORCH_CHECK(set.images.size() == 2 * set.same.size(), "verification set ", set.name, ": ",
              set.images.size(), " images, but ", set.same.size(), " pairs");
  const at::NoGradGuard no_grad;
  const auto images = static_cast<std::int64_t>(set.images.size());
  const model::FaceEmbedder network(backbone, communicator.device(), options.network);
  const auto rows_of = [&](int rank) {
    return data::rows_of_rank(images, rank, communicator.world_size(), network.block());
  };
  EmbeddedRange mine;  // rows of this rank
  std::optional<data::DataError> error;
  try {
    mine = embed_range(resident, network, network.batch_of(options.batch_per_rank),
                       rows_of(communicator.rank()));
  } catch (const data::DataError& e) {
    error = e;
  }
  agree_on_error(error, set.name, communicator);

  std::vector<std::int64_t> counts;
  for (int rank = 0; rank < communicator.world_size(); ++rank)
    counts.push_back(rows_of(rank).end - rows_of(rank).begin);
  auto sums = at::empty({images, backbone.embedding_dim()}, mine.sums.options());
  auto lengths = at::empty({images, 2}, mine.lengths.options());
  if (images > 0) {
    communicator.all_gather_v(sums, mine.sums, counts)->wait_host();
    communicator.all_gather_v(lengths, mine.lengths, counts)->wait_host();
  }
  return {sums.cpu(), mean_of_views(lengths.cpu())};
}

std::vector<double> pair_distances(const at::Tensor& embeddings) {
  TORCH_CHECK(embeddings.dim() == 2 && embeddings.size(0) % 2 == 0,
              "pair_distances: expected embeddings [2 * pairs, D], got ", embeddings.sizes());
  const at::NoGradGuard no_grad;
  const auto all = embeddings.to(at::kCPU).contiguous();
  return all.scalar_type() == at::kFloat ? distances_of<float>(all)
                                         : distances_of<double>(all.to(at::kDouble));
}

VerifiedSet verify_set(ResidentSet& set, model::Backbone& backbone,
                       dist::Communicator& communicator, const EmbedderOptions& options) {
  const SetEmbeddings embeddings = embed_set(set, backbone, communicator, options);
  VerifiedSet verified;
  verified.distances = pair_distances(embeddings.sums);
  verified.report = report_pairs(set.set().name, verified.distances, set.set().same, options.folds);
  verified.report.feature_norm = embeddings.mean_norm;
  return verified;
}

}  // namespace diffprob::eval

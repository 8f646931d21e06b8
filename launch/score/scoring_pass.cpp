#include "launch/score/scoring_pass.h"

#include <ATen/Parallel.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "data/loading/loader.h"
#include "data/loading/sampler.h"
#include "launch/inputs/training_data.h"
#include "model/inference/face_embedder.h"

namespace diffprob::launch {

std::vector<std::int64_t> rows_per_rank(std::int64_t samples, std::int64_t unit, int world_size) {
  std::vector<std::int64_t> rows;
  for (int rank = 0; rank < world_size; ++rank) {
    const data::RowRange range = data::rows_of_rank(samples, rank, world_size, unit);
    rows.push_back(range.end - range.begin);
  }
  return rows;
}

std::int64_t scoring_batch(const Config& config, Runtime& runtime) {
  const std::int64_t busy = runtime.device().is_cpu()
                                ? at::get_num_threads() * model::embedding_block(runtime.device())
                                : 1;
  const std::int64_t rows = runtime.control().all_reduce(
      std::max(config.score.batch_per_rank, busy), dist::ReduceOp::kMax);
  return model::whole_blocks(rows, runtime.device()) * runtime.world_size();
}

std::vector<prune::SampleRange> cut_into_batches(const std::vector<prune::SampleRange>& ranges,
                                                 std::int64_t batch) {
  std::vector<prune::SampleRange> batches;
  for (const prune::SampleRange& range : ranges) {
    for (std::int64_t first = range.first; first < range.last; first += batch) {
      batches.push_back({first, std::min(first + batch, range.last)});
    }
  }
  return batches;
}

void embed_batches(const std::shared_ptr<const data::Dataset>& dataset,
                   const std::vector<prune::SampleRange>& batches, EmbeddingNetwork network,
                   const Config& config, Runtime& runtime,
                   const std::function<void(const EmbeddedBatch&)>& use) {
  const at::NoGradGuard no_grad;
  const std::int64_t unit = model::embedding_block(runtime.device());
  std::vector<data::RowRange> ranges;
  for (const prune::SampleRange& samples : batches) ranges.push_back({samples.first, samples.last});
  data::Loader loader(dataset,
                      std::make_shared<data::RangePlan>(std::move(ranges), unit, runtime.rank(),
                                                        runtime.world_size()),
                      loader_options(config, runtime));
  const model::FaceEmbedder embedder(network.backbone, runtime.device(), config.score.network);
  data::Batch batch;
  for (std::size_t i = 0; loader.next(batch); ++i) {
    at::Tensor embeddings;
    if (network.mirror == MirrorImages::kBehind) {
      const auto [straight, mirrored] = embedder.embed_with_mirror(batch.images);
      embeddings = at::cat({straight, mirrored}, 1);
    } else {
      embeddings = embedder.embed(batch.images);
    }
    const at::Tensor labels = batch.labels.to(runtime.device(), /*non_blocking=*/true);
    use({batches[i], batch.indices, embeddings, labels,
         rows_per_rank(batches[i].size(), unit, runtime.world_size())});
  }
  for (const auto& what : loader.replaced())
    spdlog::warn("unreadable image, replaced with a black one: {}", what);
}

}  // namespace diffprob::launch

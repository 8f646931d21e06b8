#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/sets/dataset.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "model/networks/backbone.h"
#include "prune/tables/sample_range.h"

namespace diffprob::launch {

/// This rank's rows of one global batch, embedded.
struct EmbeddedBatch {
  prune::SampleRange samples;            ///< the global batch
  at::Tensor indices;                    ///< [b] int64 on the host, of the data set
  at::Tensor embeddings;                 ///< [b, D] float32 on the device
  at::Tensor labels;                     ///< [b] int64 on the device
  std::vector<std::int64_t> row_counts;  ///< of every rank
};

/// Rows of a global batch of `samples` on every rank, whole blocks of `unit` where there are
/// enough.
[[nodiscard]] std::vector<std::int64_t> rows_per_rank(std::int64_t samples, std::int64_t unit,
                                                      int world_size);

/// Returns how many samples a global batch has: score.batch_per_rank of each rank, rounded up to
/// whole blocks (model::embedding_block) and to at least one block per thread. Scores do not depend
/// on it. Collective.
[[nodiscard]] std::int64_t scoring_batch(const Config& config, Runtime& runtime);

/// Global batches of at most `batch` samples that make up the ranges.
[[nodiscard]] std::vector<prune::SampleRange> cut_into_batches(
    const std::vector<prune::SampleRange>& ranges, std::int64_t batch);

/// What else than the image itself is embedded.
enum class MirrorImages {
  kNone,
  kBehind,  ///< the mirror image: its embedding stands behind that of the image, [b, 2 D]
};

struct EmbeddingNetwork {
  model::Backbone& backbone;  ///< in evaluation mode meanwhile
  MirrorImages mirror = MirrorImages::kNone;
};

/// Decodes and embeds global batches in order, without augmentation, with the network as score.fold
/// and score.precision ask for it. `batches`: ascending; each starts at a multiple of a block, so
/// that (on a CPU) what a sample gives depends on the samples of its block alone. Collective
/// insofar as `use` is; called for batches without rows of this rank too.
void embed_batches(const std::shared_ptr<const data::Dataset>& dataset,
                   const std::vector<prune::SampleRange>& batches, EmbeddingNetwork network,
                   const Config& config, Runtime& runtime,
                   const std::function<void(const EmbeddedBatch&)>& use);

}  // namespace diffprob::launch

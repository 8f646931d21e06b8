#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/dataset.h"
#include "launch/config.h"
#include "launch/runtime.h"
#include "model/backbone.h"

namespace diffprob::launch {

/// This rank's rows of one global batch, embedded.
struct EmbeddedBatch {
  std::int64_t number = 0;               ///< of the global batch
  at::Tensor indices;                    ///< [b] int64 on the host, of the data set
  at::Tensor embeddings;                 ///< [b, D] float32 on the device
  at::Tensor labels;                     ///< [b] int64 on the device
  std::vector<std::int64_t> row_counts;  ///< of every rank
};

/// Decodes and embeds global batches of score.batch_size samples in order, without augmentation, with the network as score.fold and
/// score.precision ask for it. What a batch gives does not depend on the batches before it. The backbone is in evaluation mode. `batches`:
/// ascending numbers. Collective insofar as `use` is; called for empty batches too.
void embed_batches(const std::shared_ptr<const data::Dataset>& dataset, const std::vector<std::int64_t>& batches, model::Backbone& backbone,
                   const Config& config, Runtime& runtime, const std::function<void(const EmbeddedBatch&)>& use);

/// ceil(size / score.batch_size)
[[nodiscard]] std::int64_t scoring_batches(const data::Dataset& dataset, const Config& config);

}  // namespace diffprob::launch

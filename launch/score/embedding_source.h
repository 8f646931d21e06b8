#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "launch/score/scoring_pass.h"
#include "model/networks/backbone.h"
#include "prune/tables/embedding_file.h"
#include "prune/tables/sample_range.h"

namespace diffprob::launch {

/// Throws prune::PruneError unless the file holds embeddings of all samples of data.train.
void check_embeddings(const std::string& path, const data::Dataset& dataset);
/// The same for a file that is open, and for any data set; `set` is its name in messages.
void check_embeddings(const prune::EmbeddingSourceInfo& source, const std::string& path,
                      const data::Dataset& dataset, const std::string& set);

/// Embeddings of a data set, batch by batch, as often as they are asked for: from the network, or
/// from a file of `diffprob embed` (score.embeddings).
class EmbeddingSource {
 public:
  /// `backbone` is null with score.embeddings. All must outlive it. Throws prune::PruneError unless
  /// the file is of the data set.
  EmbeddingSource(std::shared_ptr<const data::Dataset> dataset, model::Backbone* backbone,
                  const Config& config, Runtime& runtime);

  /// Embeddings of a pass are kept in host memory for the next pass over the same batches if those
  /// of no rank take more than score.keep_gib. Collective.
  void keep(const std::vector<prune::SampleRange>& batches, std::int64_t dim);
  /// embed_batches() of scoring_pass.h.
  void for_each(const std::vector<prune::SampleRange>& batches,
                const std::function<void(const EmbeddedBatch&)>& use);
  /// Images that went through the network so far, on all ranks; 0 with embeddings of a file.
  [[nodiscard]] std::int64_t images_embedded() const noexcept { return images_embedded_; }

 private:
  void read_batches(const std::vector<prune::SampleRange>& batches,
                    const std::function<void(const EmbeddedBatch&)>& use);

  std::shared_ptr<const data::Dataset> dataset_;
  model::Backbone* backbone_;
  const Config& config_;
  Runtime& runtime_;
  bool keeps_ = false;
  std::int64_t images_embedded_ = 0;
  std::vector<EmbeddedBatch> kept_;  ///< on the host
};

}  // namespace diffprob::launch

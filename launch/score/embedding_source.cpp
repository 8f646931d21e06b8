#include "launch/score/embedding_source.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "data/loading/sampler.h"
#include "model/inference/face_embedder.h"
#include "prune/error.h"

namespace diffprob::launch {
namespace {

bool same_batches(const std::vector<EmbeddedBatch>& kept,
                  const std::vector<prune::SampleRange>& batches) {
  return kept.size() == batches.size() &&
         std::equal(kept.begin(), kept.end(), batches.begin(),
                    [](const EmbeddedBatch& a, const prune::SampleRange& b) {
                      return a.samples.first == b.first && a.samples.last == b.last;
                    });
}

}  // namespace

void check_embeddings(const std::string& path, const data::Dataset& dataset) {
  check_embeddings(prune::EmbeddingReader(path).source(), path, dataset, "data.train");
}

void check_embeddings(const prune::EmbeddingSourceInfo& source, const std::string& path,
                      const data::Dataset& dataset, const std::string& set) {
  if (source.dataset_fingerprint != dataset.fingerprint() || source.num_samples != dataset.size())
    throw prune::PruneError(path + ": embeddings of " + std::to_string(source.num_samples) +
                            " samples of another data set than " + set + " (of " +
                            std::to_string(dataset.size()) +
                            "): make them from this one (diffprob embed)");
}

EmbeddingSource::EmbeddingSource(std::shared_ptr<const data::Dataset> dataset,
                                 model::Backbone* backbone, const Config& config, Runtime& runtime)
    : dataset_(std::move(dataset)), backbone_(backbone), config_(config), runtime_(runtime) {
  if (backbone_ == nullptr) check_embeddings(config.score.embeddings, *dataset_);
}

void EmbeddingSource::keep(const std::vector<prune::SampleRange>& batches, std::int64_t dim) {
  if (backbone_ == nullptr) return;  // the file is read again
  std::int64_t rows = 0;
  for (const prune::SampleRange& batch : batches) {
    const auto of_ranks = rows_per_rank(batch.size(), model::embedding_block(runtime_.device()),
                                        runtime_.world_size());
    rows += of_ranks[static_cast<std::size_t>(runtime_.rank())];
  }
  const std::int64_t most = runtime_.control().all_reduce(rows, dist::ReduceOp::kMax);
  const double gib = static_cast<double>(most * dim * 4) / kBytesPerGibibyte;
  keeps_ = gib <= config_.score.keep_gib;
  if (!keeps_)
    spdlog::info(
        "score: embeddings take {:.1f} GiB per rank, more than score.keep_gib={:g}: the network "
        "embeds the data set twice",
        gib, config_.score.keep_gib);
}

void EmbeddingSource::for_each(const std::vector<prune::SampleRange>& batches,
                               const std::function<void(const EmbeddedBatch&)>& use) {
  if (backbone_ == nullptr) return read_batches(batches, use);
  if (same_batches(kept_, batches)) {
    for (const EmbeddedBatch& batch : kept_)
      use({batch.samples, batch.indices, batch.embeddings.to(runtime_.device()),
           batch.labels.to(runtime_.device()), batch.row_counts});
    return;
  }
  kept_.clear();
  embed_batches(dataset_, batches, {*backbone_}, config_, runtime_,
                [&](const EmbeddedBatch& batch) {
                  images_embedded_ += batch.samples.size();
                  if (keeps_)
                    kept_.push_back({batch.samples, batch.indices, batch.embeddings.to(at::kCPU),
                                     batch.labels.to(at::kCPU), batch.row_counts});
                  use(batch);
                });
}

void EmbeddingSource::read_batches(const std::vector<prune::SampleRange>& batches,
                                   const std::function<void(const EmbeddedBatch&)>& use) {
  const prune::EmbeddingReader file(config_.score.embeddings);
  const std::int64_t unit = model::embedding_block(runtime_.device());
  for (const prune::SampleRange& samples : batches) {
    EmbeddedBatch batch{
        samples, {}, {}, {}, rows_per_rank(samples.size(), unit, runtime_.world_size())};
    const data::RowRange own =
        data::rows_of_rank(samples.size(), runtime_.rank(), runtime_.world_size(), unit);
    const std::int64_t rows = own.end - own.begin;
    batch.indices = at::arange(samples.first + own.begin, samples.first + own.end, at::kLong);
    batch.embeddings = at::empty({rows, file.source().dim}, at::kFloat);
    file.read(samples.first + own.begin, {batch.embeddings.mutable_data_ptr<float>(),
                                          static_cast<std::size_t>(batch.embeddings.numel())});
    batch.labels = at::empty({rows}, at::kLong);
    for (std::int64_t i = 0; i < rows; ++i)
      batch.labels.mutable_data_ptr<std::int64_t>()[i] =
          dataset_->label(samples.first + own.begin + i);
    batch.embeddings = batch.embeddings.to(runtime_.device());
    batch.labels = batch.labels.to(runtime_.device());
    use(batch);
  }
}

}  // namespace diffprob::launch

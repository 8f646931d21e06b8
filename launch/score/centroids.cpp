#include "launch/score/centroids.h"

#include <spdlog/spdlog.h>

#include <unistd.h>

#include <memory>

#include "launch/job/signals.h"
#include "launch/observe/progress.h"
#include "model/head/identity_centres.h"

namespace diffprob::launch {

void use_centroids(EmbeddingSource& source, const std::vector<prune::SampleRange>& batches,
                   model::ShardedHead& head, const Config& config, Runtime& runtime) {
  const auto centres = std::make_shared<model::IdentityCentres>(
      head.options().num_classes, head.options().embedding_dim, runtime.tensors());
  StopAgreement stop(config.train.max_time, runtime.control());
  Progress progress("centroids", batches.back().last, "images",
                    runtime.is_root() && ::isatty(2) != 0);
  source.for_each(batches, [&](const EmbeddedBatch& batch) {
    centres->add(batch.embeddings, batch.labels, batch.row_counts);
    if (runtime.is_root()) progress.advance(batch.samples.last);
    if (batch.samples.last < batches.back().last && stop.agreed())
      throw Stopped(
          fmt::format("score: stopped by {} after {} of {} images while class centres were being "
                      "made, of which nothing is saved",
                      stop.reason(), batch.samples.last, batches.back().last));
  });
  centres->finish();
  if (runtime.is_root()) progress.finish();
  if (centres->singles() > 0)
    spdlog::info(
        "{} of {} identities have one sample, which cannot be compared with others of its "
        "identity: it counts as sound (cosine 1)",
        centres->singles(), head.options().num_classes);
  head.use_centres(centres);
}

}  // namespace diffprob::launch

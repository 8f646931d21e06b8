#pragma once

#include <vector>

#include "launch/config/config.h"
#include "launch/job/runtime.h"
#include "launch/score/embedding_source.h"
#include "model/head/sharded_head.h"

namespace diffprob::launch {

/// score.head=centroids: gives the head centres made from the embeddings of all samples, each of
/// which is then scored without itself (model::IdentityCentres). One pass over the data set unless
/// the source has kept its embeddings. Says in the log how many identities have one sample.
/// Collective. Throws Stopped when a signal or train.max_time ends it: nothing of it is saved.
void use_centroids(EmbeddingSource& source, const std::vector<prune::SampleRange>& batches,
                   model::ShardedHead& head, const Config& config, Runtime& runtime);

}  // namespace diffprob::launch

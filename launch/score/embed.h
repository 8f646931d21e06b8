#pragma once

#include "launch/config/config.h"
#include "launch/job/runtime.h"

namespace diffprob::launch {

/// `diffprob embed`: embeddings of all samples of data.train (or of its kept part) by the network
/// of model.checkpoint, into output/embeddings.h5 or .npy, which rank 0 writes. Finished parts lie
/// beside it in embeddings.parts until it is there: a run that was killed goes on behind them, on
/// any number of ranks; on CPUs it ends with the same bytes. Rank 0 holds
/// one part of at most 256 MiB at a time, the others their share of it. Collective.
void embed_command(const Config& config, Runtime& runtime);

}  // namespace diffprob::launch

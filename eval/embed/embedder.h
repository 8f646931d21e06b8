#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"
#include "eval/embed/options.h"
#include "eval/embed/resident_set.h"
#include "eval/metrics/set_report.h"
#include "model/networks/backbone.h"

namespace diffprob::eval {

/// Embeddings of a verification set over all ranks: each rank embeds a contiguous part of the
/// images, both orientations, and all ranks get all. [images, D] float32 on the CPU: sum of the
/// embeddings of the image and its mirror image (not normalised). The backbone is put into eval
/// mode and back. Ranks share whole blocks (model::embedding_block): on a CPU an embedding has the
/// same bits for any number of ranks and threads and any batch. An unreadable image:
/// data::DataError on all ranks; that of the rank that met it names set and image. Collective.
/// `communicator` carries tensors of the backbone's device.
[[nodiscard]] at::Tensor embed_flip_sum(ResidentSet& set, model::Backbone& backbone,
                                        dist::Communicator& communicator,
                                        const EmbedderOptions& options);

/// Squared distances of L2-normalised embedding pairs (rows 2i, 2i + 1), float64 arithmetic. [P]
[[nodiscard]] std::vector<double> pair_distances(const at::Tensor& embeddings);

/// The two above and report_pairs(): what a run reports of a set. Collective; same on all ranks.
[[nodiscard]] SetReport verify_set(ResidentSet& set, model::Backbone& backbone,
                                   dist::Communicator& communicator,
                                   const EmbedderOptions& options);

}  // namespace diffprob::eval

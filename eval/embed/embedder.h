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

/// Embeddings of a verification set.
struct SetEmbeddings {
  /// [images, D] float32 on the CPU: sum of the embeddings of the image and its mirror image, not
  /// normalised.
  at::Tensor sums;
  double mean_norm = 0;  ///< mean length of the embeddings of images and mirror images (XNorm)
};

/// Embeds a verification set over all ranks: each rank embeds a contiguous part of the images, both
/// orientations, and all ranks get all. The backbone is put into eval mode and back. Ranks share
/// whole blocks (model::embedding_block): on a CPU an embedding has the same bits for any number of
/// ranks and threads and any batch. An unreadable image: data::DataError on all ranks; that of the
/// rank that met it names set and image. Collective. `communicator` carries tensors of the
/// backbone's device.
[[nodiscard]] SetEmbeddings embed_set(ResidentSet& set, model::Backbone& backbone,
                                      dist::Communicator& communicator,
                                      const EmbedderOptions& options);

/// Mean length of the rows, added up row by row in float64 arithmetic. embeddings: [rows, D]
[[nodiscard]] double mean_length(const at::Tensor& embeddings);

/// Squared distances of L2-normalised embedding pairs (rows 2i, 2i + 1), float64 arithmetic. [P]
[[nodiscard]] std::vector<double> pair_distances(const at::Tensor& embeddings);

/// What a run reports of a set, and the distances of its pairs in the order of the file.
struct VerifiedSet {
  SetReport report;
  std::vector<double> distances;  ///< [pairs]
};
/// embed_set(), pair_distances() and report_pairs(). Collective; same on all ranks.
[[nodiscard]] VerifiedSet verify_set(ResidentSet& set, model::Backbone& backbone,
                                     dist::Communicator& communicator,
                                     const EmbedderOptions& options);

}  // namespace diffprob::eval

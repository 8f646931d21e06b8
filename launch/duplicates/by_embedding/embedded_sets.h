#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/sets/dataset.h"
#include "eval/neighbours/embedded_set.h"
#include "launch/duplicates/by_embedding/embedding_rows.h"

namespace diffprob::launch {

/// Embeddings with the data set that they are of.
struct EmbeddedData {
  std::shared_ptr<const data::Dataset> dataset;
  std::shared_ptr<EmbeddingRows> rows;

  /// What eval/neighbours reads; keeps both alive.
  [[nodiscard]] eval::EmbeddedSet set() const;
};

/// Opens the embeddings of a data set. `name`: of the set in messages ("data.train"). Throws
/// prune::PruneError unless they are of this set: by its fingerprint, for a .npy by the number of
/// its rows.
[[nodiscard]] EmbeddedData open_embeddings(const std::string& path,
                                           std::shared_ptr<const data::Dataset> dataset,
                                           const std::string& name);

/// Throws prune::PruneError when two files are of different networks, as far as they say so, or
/// have rows of different lengths.
void check_same_network(const EmbeddingRows& a, const EmbeddingRows& b);

/// Embeddings of several sets one after the other, each image an identity of its own. `sizes`:
/// images that each set should have. Throws prune::PruneError when a file has another number.
[[nodiscard]] eval::EmbeddedSet join_as_images(const std::string& name,
                                               std::vector<std::shared_ptr<EmbeddingRows>> files,
                                               const std::vector<std::int64_t>& sizes);

}  // namespace diffprob::launch

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "prune/select/selection.h"
#include "prune/tables/embedding_file.h"
#include "prune/tables/score_table.h"

namespace diffprob::prune {

/// Embeddings of one identity after the other, on the unit sphere. Holds 8 bytes per sample of the
/// set.
class IdentityEmbeddings {
 public:
  /// Throws PruneError unless the file has the samples that were scored.
  IdentityEmbeddings(const std::string& path, std::span<const std::int32_t> labels,
                     const ScoreSource& source);

  [[nodiscard]] std::size_t dim() const { return static_cast<std::size_t>(file_.source().dim); }
  /// Samples of an identity, increasing.
  [[nodiscard]] std::span<const std::int64_t> samples_of(std::int64_t identity) const;
  /// [samples_of(identity).size(), dim()], rows of length 1 (or 0). The span holds until the next
  /// call.
  [[nodiscard]] std::span<const float> units_of(std::int64_t identity);
  /// Identities that a rank looks at, so that samples are even.
  [[nodiscard]] IdentityRange range_of(int rank, int world_size) const {
    return identities_of_rank(begin_, rank, world_size);
  }

 private:
  EmbeddingReader file_;
  std::vector<std::int64_t> begin_;  // [num_classes + 1]
  std::vector<std::int64_t> order_;  // [samples], grouped by identity
  std::vector<float> units_;
};

}  // namespace diffprob::prune

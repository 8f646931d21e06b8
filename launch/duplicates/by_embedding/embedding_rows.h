#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "prune/files/npy_file.h"
#include "prune/tables/embedding_file.h"

namespace diffprob::launch {

/// Embeddings that are read a range of rows at a time: a file of `diffprob embed`, or a .npy of f2,
/// f4 or f8 with one row per image. Throws prune::PruneError that names the file.
class EmbeddingRows {
 public:
  explicit EmbeddingRows(const std::string& path);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::int64_t rows() const;
  [[nodiscard]] std::int64_t dim() const;
  /// What a file of `diffprob embed` says of itself; null for a .npy.
  [[nodiscard]] const prune::EmbeddingSourceInfo* source() const;
  /// Rows [first, first + values.size() / dim()), finite.
  void read(std::int64_t first, std::span<float> values);

 private:
  void read_npy(std::int64_t first, std::span<float> values);

  std::string path_;
  std::unique_ptr<prune::EmbeddingReader> file_;
  std::unique_ptr<prune::NpyFile> npy_;
};

}  // namespace diffprob::launch

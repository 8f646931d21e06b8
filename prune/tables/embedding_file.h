#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "prune/files/hdf5_matrix.h"

namespace diffprob::prune {

/// What a file of embeddings says of itself.
struct EmbeddingSourceInfo {
  std::string dataset_fingerprint;
  std::string model_fingerprint;  ///< SHA-256 of the weights
  std::string config;             ///< effective configuration, YAML
  std::int64_t num_samples = 0;
  std::int64_t dim = 0;   ///< of one embedding
  bool mirrored = false;  ///< the embedding of the mirror image stands behind that of the image
  std::string part_of{};  ///< fingerprint of the whole data set when this one is a part of it

  [[nodiscard]] std::int64_t columns() const noexcept { return mirrored ? 2 * dim : dim; }
};

/// Writes the embeddings of a data set, HDF5, documented in prune/tables/SCORES_FORMAT.md. Rows
/// come in the order of the samples, in pieces of any size. Written whole or not at all. Throws
/// PruneError.
class EmbeddingWriter {
 public:
  /// half: float16, each value rounded to the nearest; one beyond its range is infinity.
  EmbeddingWriter(const std::string& path, const EmbeddingSourceInfo& source, bool half);
  ~EmbeddingWriter();
  EmbeddingWriter(const EmbeddingWriter&) = delete;
  EmbeddingWriter& operator=(const EmbeddingWriter&) = delete;
  void append(std::span<const float> rows);
  void append(std::span<const HalfBits> rows);
  void commit();

 private:
  HdfWriter file_;
  std::unique_ptr<HdfMatrixWriter<HalfBits>> halves_;
  std::unique_ptr<HdfMatrixWriter<float>> floats_;
};

/// Reads such a file, a range of rows at a time. Throws PruneError on anything malformed, and on a
/// value that is not finite.
class EmbeddingReader {
 public:
  explicit EmbeddingReader(const std::string& path);
  ~EmbeddingReader();
  EmbeddingReader(const EmbeddingReader&) = delete;
  EmbeddingReader& operator=(const EmbeddingReader&) = delete;

  [[nodiscard]] const EmbeddingSourceInfo& source() const noexcept { return source_; }
  [[nodiscard]] bool is_half() const noexcept { return halves_ != nullptr; }
  /// Embeddings of samples [first, first + n), values [n, dim]; of a mirrored file the sum of both.
  void read(std::int64_t first, std::span<float> values) const;

 private:
  void read_columns(std::int64_t first, std::span<float> values) const;

  std::string path_;
  HdfReader file_;
  EmbeddingSourceInfo source_;
  std::unique_ptr<HdfMatrixReader<HalfBits>> halves_;
  std::unique_ptr<HdfMatrixReader<float>> floats_;
};

}  // namespace diffprob::prune

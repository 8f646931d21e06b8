#include "launch/duplicates/by_embedding/embedding_rows.h"

#include <cmath>
#include <vector>

#include "prune/error.h"

namespace diffprob::launch {
namespace {

constexpr std::int64_t kMostColumns = std::int64_t{1} << 16;

}  // namespace

EmbeddingRows::EmbeddingRows(const std::string& path) : path_(path) {
  if (!prune::is_npy_file(path)) {
    file_ = std::make_unique<prune::EmbeddingReader>(path);
    return;
  }
  npy_ = std::make_unique<prune::NpyFile>(path);
  if (!npy_->is_float() || npy_->dimensions() != 2 || npy_->columns() < 1 ||
      npy_->columns() > kMostColumns)
    throw prune::PruneError(path +
                            ": expected a two-dimensional array of floats, one row of 1 to " +
                            std::to_string(kMostColumns) + " numbers per image");
}

std::int64_t EmbeddingRows::rows() const {
  return file_ ? file_->source().num_samples : npy_->rows();
}

std::int64_t EmbeddingRows::dim() const {
  return file_ ? file_->source().dim : npy_->columns();
}

const prune::EmbeddingSourceInfo* EmbeddingRows::source() const {
  return file_ ? &file_->source() : nullptr;
}

void EmbeddingRows::read(std::int64_t first, std::span<float> values) {
  if (file_) return file_->read(first, values);
  read_npy(first, values);
}

void EmbeddingRows::read_npy(std::int64_t first, std::span<float> values) {
  const auto dim = static_cast<std::size_t>(npy_->columns());
  std::vector<double> wide(dim);
  for (std::size_t at = 0; at < values.size(); at += dim, ++first) {
    npy_->read_row(first, wide);
    for (std::size_t i = 0; i < dim; ++i) {
      values[at + i] = static_cast<float>(wide[i]);
      if (!std::isfinite(values[at + i]))
        throw prune::PruneError(path_ + ": row " + std::to_string(first) +
                                " has a value that is not finite, or beyond float32");
    }
  }
}

}  // namespace diffprob::launch

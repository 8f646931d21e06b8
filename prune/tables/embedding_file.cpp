#include "prune/tables/embedding_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "prune/error.h"
#include "prune/tables/source_attributes.h"

namespace diffprob::prune {
namespace {

constexpr const char* kFormat = "diffprob-embeddings";
constexpr std::int64_t kVersion = 1;
constexpr const char* kFeatures = "features";  // the default of eval.features_dataset
constexpr std::int64_t kMostDimensions = std::int64_t{1} << 16;

/// Without a branch per value: it looks at tens of gigabytes.
bool all_finite(std::span<const float> values) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  int bad = 0;
  for (const float v : values) bad |= std::abs(v) <= kLargest ? 0 : 1;
  return bad == 0;
}

EmbeddingSourceInfo read_info(const HdfReader& file, const std::string& path) {
  file.check_format(kFormat, kVersion);
  EmbeddingSourceInfo info;
  info.dataset_fingerprint = file.text("dataset_fingerprint");
  info.model_fingerprint = file.text("model_fingerprint");
  info.num_samples = file.integer("num_samples");
  info.dim = file.integer("dim");
  const std::int64_t mirrored = file.integer("mirrored");
  if (file.has_attribute("part_of")) info.part_of = file.text("part_of");
  const auto config = file.dataset<std::uint8_t>("config");
  info.config.assign(config.begin(), config.end());
  check_extents(path, info.num_samples, 1);
  if (info.dim < 1 || info.dim > kMostDimensions || mirrored < 0 || mirrored > 1)
    throw PruneError(path + ": dim is " + std::to_string(info.dim) + " and mirrored " +
                     std::to_string(mirrored) + ", expected 1 to " +
                     std::to_string(kMostDimensions) + " and 0 or 1");
  info.mirrored = mirrored == 1;
  return info;
}

}  // namespace

EmbeddingWriter::EmbeddingWriter(const std::string& path, const EmbeddingSourceInfo& source,
                                 bool half)
    : file_(path) {
  file_.attribute("format", std::string(kFormat));
  file_.attribute("format_version", kVersion);
  file_.attribute("num_samples", source.num_samples);
  file_.attribute("dim", source.dim);
  file_.attribute("mirrored", static_cast<std::int64_t>(source.mirrored));
  file_.attribute("dataset_fingerprint", source.dataset_fingerprint);
  file_.attribute("model_fingerprint", source.model_fingerprint);
  if (!source.part_of.empty()) file_.attribute("part_of", source.part_of);
  const std::vector<std::uint8_t> config(source.config.begin(), source.config.end());
  file_.dataset<std::uint8_t>("config", config);
  const auto rows = static_cast<std::size_t>(source.num_samples);
  const auto columns = static_cast<std::size_t>(source.columns());
  if (half)
    halves_ = std::make_unique<HdfMatrixWriter<HalfBits>>(file_, kFeatures, rows, columns,
                                                          HdfChunks::kWholeRows);
  else
    floats_ = std::make_unique<HdfMatrixWriter<float>>(file_, kFeatures, rows, columns,
                                                       HdfChunks::kWholeRows);
}

EmbeddingWriter::~EmbeddingWriter() = default;

void EmbeddingWriter::append(std::span<const float> rows) {
  if (floats_) return floats_->append(rows);
  std::vector<HalfBits> halves(rows.size());
  std::transform(rows.begin(), rows.end(), halves.begin(), [](float v) { return to_half(v); });
  halves_->append(halves);
}

void EmbeddingWriter::append(std::span<const HalfBits> rows) {
  if (!halves_) throw PruneError("embeddings of float16 for a file of float32");
  halves_->append(rows);
}

void EmbeddingWriter::commit() {
  if (halves_) halves_->finish();
  if (floats_) floats_->finish();
  file_.commit();
}

EmbeddingReader::EmbeddingReader(const std::string& path)
    : path_(path), file_(path), source_(read_info(file_, path)) {
  std::size_t rows = 0;
  std::size_t columns = 0;
  const auto take_shape = [&](const auto& matrix) {
    rows = matrix.rows();
    columns = matrix.columns();
  };
  if (is_half_matrix(file_, kFeatures)) {
    halves_ = std::make_unique<HdfMatrixReader<HalfBits>>(file_, kFeatures);
    take_shape(*halves_);
  } else {
    floats_ = std::make_unique<HdfMatrixReader<float>>(file_, kFeatures);
    take_shape(*floats_);
  }
  if (rows != static_cast<std::size_t>(source_.num_samples) ||
      columns != static_cast<std::size_t>(source_.columns()))
    throw PruneError(path + ": " + kFeatures + " has " + std::to_string(rows) + " rows of " +
                     std::to_string(columns) + ", expected " + std::to_string(source_.num_samples) +
                     " of " + std::to_string(source_.columns()));
}

EmbeddingReader::~EmbeddingReader() = default;

void EmbeddingReader::read_columns(std::int64_t first, std::span<float> values) const {
  if (floats_) {
    floats_->read_rows(static_cast<std::size_t>(first), values);
  } else {
    std::vector<HalfBits> halves(values.size());
    halves_->read_rows(static_cast<std::size_t>(first), halves);
    std::transform(halves.begin(), halves.end(), values.begin(), float_from_half);
  }
  if (all_finite(values)) return;
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  throw PruneError(path_ + ": the embedding of sample " +
                   std::to_string(first + (bad - values.begin()) / source_.columns()) +
                   " has a value that is not finite");
}

void EmbeddingReader::read(std::int64_t first, std::span<float> values) const {
  const auto dim = static_cast<std::size_t>(source_.dim);
  if (first < 0 || values.size() % dim != 0)
    throw PruneError(path_ + ": " + std::to_string(values.size()) + " values from sample " +
                     std::to_string(first) + " on, expected whole embeddings of " +
                     std::to_string(dim));
  if (!source_.mirrored) return read_columns(first, values);
  std::vector<float> both(2 * values.size());
  read_columns(first, both);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t place = i / dim * 2 * dim + i % dim;
    values[i] = both[place] + both[place + dim];
  }
}

}  // namespace diffprob::prune

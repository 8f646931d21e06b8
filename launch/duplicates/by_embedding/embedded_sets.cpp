#include "launch/duplicates/by_embedding/embedded_sets.h"

#include <algorithm>
#include <utility>

#include "launch/score/embedding_source.h"
#include "prune/error.h"

namespace diffprob::launch {
namespace {

void check_rows(const EmbeddingRows& rows, std::int64_t images, const std::string& set) {
  if (rows.rows() != images)
    throw prune::PruneError(rows.path() + ": " + std::to_string(rows.rows()) + " embeddings, but " +
                            set + " has " + std::to_string(images) +
                            " images: make them from it (diffprob embed)");
}

}  // namespace

eval::EmbeddedSet EmbeddedData::set() const {
  return {
      rows->path(),
      rows->rows(),
      rows->dim(),
      dataset->num_classes(),
      [of = dataset](std::int64_t row) { return of->label(row); },
      [from = rows](std::int64_t first, std::span<float> values) { from->read(first, values); }};
}

EmbeddedData open_embeddings(const std::string& path, std::shared_ptr<const data::Dataset> dataset,
                             const std::string& name) {
  auto rows = std::make_shared<EmbeddingRows>(path);
  if (rows->source() != nullptr) check_embeddings(*rows->source(), path, *dataset, name);
  check_rows(*rows, dataset->size(), name);
  return {std::move(dataset), std::move(rows)};
}

void check_same_network(const EmbeddingRows& a, const EmbeddingRows& b) {
  const bool known = a.source() != nullptr && b.source() != nullptr;
  if (known && a.source()->model_fingerprint != b.source()->model_fingerprint)
    throw prune::PruneError(a.path() + " and " + b.path() +
                            ": embeddings of two networks cannot be compared: make both with the "
                            "same model.checkpoint");
  if (a.dim() != b.dim())
    throw prune::PruneError(a.path() + " has embeddings of " + std::to_string(a.dim()) +
                            " numbers, " + b.path() + " of " + std::to_string(b.dim()) +
                            ": expected embeddings of one network");
}

eval::EmbeddedSet join_as_images(const std::string& name,
                                 std::vector<std::shared_ptr<EmbeddingRows>> files,
                                 const std::vector<std::int64_t>& sizes) {
  std::vector<std::int64_t> ends;
  for (std::size_t i = 0; i < files.size(); ++i) {
    check_rows(*files[i], sizes.at(i), "its test set");
    ends.push_back((ends.empty() ? 0 : ends.back()) + sizes[i]);
  }
  const std::int64_t all = ends.empty() ? 0 : ends.back();
  const std::int64_t dim = files.empty() ? 0 : files.front()->dim();
  const auto read = [files = std::move(files), ends](std::int64_t first, std::span<float> values) {
    const auto width = static_cast<std::size_t>(files.front()->dim());
    while (!values.empty()) {
      const auto file =
          static_cast<std::size_t>(std::ranges::upper_bound(ends, first) - ends.begin());
      const auto here = static_cast<std::size_t>(ends[file] - first) * width;
      const std::size_t count = std::min(values.size(), here);
      files[file]->read(first - (file == 0 ? 0 : ends[file - 1]), values.first(count));
      values = values.subspan(count);
      first = ends[file];
    }
  };
  return {name, all, dim, all, [](std::int64_t row) { return row; }, read};
}

}  // namespace diffprob::launch

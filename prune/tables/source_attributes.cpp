#include "prune/tables/source_attributes.h"

#include <limits>

#include "prune/error.h"

namespace diffprob::prune {

void write_source(HdfWriter& file, const ScoreSource& source) {
  file.attribute("dataset_fingerprint", source.dataset_fingerprint);
  file.attribute("model_fingerprint", source.model_fingerprint);
  file.attribute("margin", source.margin);
  file.attribute("scale", source.scale);
  file.attribute("num_classes", source.num_classes);
  if (!source.part_of.empty()) file.attribute("part_of", source.part_of);
  const std::vector<std::uint8_t> config(source.config.begin(), source.config.end());
  file.dataset<std::uint8_t>("config", config);
}

ScoreSource read_source(const HdfReader& file, const std::string& path) {
  ScoreSource source;
  source.dataset_fingerprint = file.text("dataset_fingerprint");
  source.model_fingerprint = file.text("model_fingerprint");
  source.margin = file.number("margin");
  source.scale = file.number("scale");
  source.num_classes = file.integer("num_classes");
  if (file.has_attribute("part_of")) source.part_of = file.text("part_of");
  const auto config = file.dataset<std::uint8_t>("config");
  source.config.assign(config.begin(), config.end());
  check_extents(path, 0, source.num_classes);
  return source;
}

void check_extents(const std::string& where, std::int64_t num_samples, std::int64_t num_classes) {
  if (num_samples < 0 || num_samples > std::numeric_limits<std::uint32_t>::max()) {
    throw PruneError(where + ": " + std::to_string(num_samples) +
                     " samples, expected fewer than 2^32");
  }
  if (num_classes < 1 || num_classes > std::int64_t{1} << 31) {
    throw PruneError(where + ": num_classes is " + std::to_string(num_classes) +
                     ", expected 1 to 2^31");
  }
}

}  // namespace diffprob::prune

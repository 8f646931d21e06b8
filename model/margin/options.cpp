#include "model/margin/options.h"

#include <c10/util/Exception.h>

namespace diffprob::model {
namespace {

/// Name, and what the kind's paper trains with.
struct KnownKind {
  MarginKind kind;
  const char* name;
  double margin;
  double elastic_std;
};
constexpr KnownKind kKinds[] = {
    {MarginKind::kNone, "none", 0.0, 0.0},
    {MarginKind::kCosFace, "cosface", 0.35, 0.0},
    {MarginKind::kArcFace, "arcface", 0.5, 0.0},
    {MarginKind::kCombined, "combined", 0.0, 0.0},
    {MarginKind::kElasticArcFace, "elastic_arcface", 0.5, 0.05},
    {MarginKind::kElasticCosFace, "elastic_cosface", 0.35, 0.05},
    {MarginKind::kElasticArcFacePlus, "elastic_arcface_plus", 0.5, 0.0175},
    {MarginKind::kElasticCosFacePlus, "elastic_cosface_plus", 0.35, 0.02},
    {MarginKind::kCurricularFace, "curricularface", 0.5, 0.0},
    {MarginKind::kAdaFace, "adaface", 0.4, 0.0}};

const KnownKind& known(MarginKind kind) {
  for (const auto& entry : kKinds) {
    if (kind == entry.kind) return entry;
  }
  TORCH_CHECK(false, "margin kind ", static_cast<int>(kind), " has no name");
}

}  // namespace

MarginOptions margin_defaults(MarginKind kind) {
  const KnownKind& entry = known(kind);
  MarginOptions options;
  options.kind = kind;
  options.margin = entry.margin;
  options.elastic_std = entry.elastic_std;
  return options;
}

MarginOptions with_published_values(MarginOptions options) {
  const MarginOptions published = margin_defaults(options.kind);
  if (options.margin < 0) options.margin = published.margin;
  if (options.elastic_std < 0) options.elastic_std = published.elastic_std;
  return options;
}

MarginKind margin_kind(const std::string& name) {
  std::string names;
  for (const auto& entry : kKinds) {
    if (name == entry.name) return entry.kind;
    names += std::string(names.empty() ? "" : ", ") + entry.name;
  }
  TORCH_CHECK(false, "unknown margin \"", name, "\", expected one of: ", names);
}

std::string margin_name(MarginKind kind) {
  return known(kind).name;
}

std::vector<std::string> margin_names() {
  std::vector<std::string> names;
  for (const auto& entry : kKinds) names.emplace_back(entry.name);
  return names;
}

}  // namespace diffprob::model

#include "model/margin.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

namespace diffprob::model {
namespace {

struct NamedKind {
  const char* name;
  MarginKind kind;
};
constexpr NamedKind kKinds[] = {{"none", MarginKind::kNone}, {"cosface", MarginKind::kCosFace}};

}  // namespace

MarginKind margin_kind(const std::string& name) {
  std::string known;
  for (const auto& entry : kKinds) {
    if (name == entry.name) return entry.kind;
    known += std::string(known.empty() ? "" : ", ") + entry.name;
  }
  TORCH_CHECK(false, "unknown margin \"", name, "\", there are: ", known);
}

std::string margin_name(MarginKind kind) {
  for (const auto& entry : kKinds) {
    if (kind == entry.kind) return entry.name;
  }
  TORCH_CHECK(false, "margin kind ", static_cast<int>(kind), " has no name");
}

TargetLogits apply_margin(const at::Tensor& target_cosine, const MarginOptions& options) {
  const double margin = options.kind == MarginKind::kCosFace ? options.margin : 0.0;
  return {target_cosine.sub(margin).mul_(options.scale), at::full_like(target_cosine, options.scale)};
}

}  // namespace diffprob::model

#include "tests/model/golden_losses.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "model/margin/elastic.h"

namespace diffprob::tests {
namespace {

constexpr const char* kPaper = "_paper";
const std::string kAdaFacePaper = "adaface_paper";

std::string without_suffix(const std::string& text, const std::string& suffix) {
  return text.ends_with(suffix) ? text.substr(0, text.size() - suffix.size()) : text;
}

model::MarginKind kind_of(const std::string& head) {
  using enum model::MarginKind;
  const std::pair<const char*, model::MarginKind> kinds[] = {
      {"CosFace", kCosFace},
      {"ArcFace", kArcFace},
      {"ElasticArcFace", kElasticArcFace},
      {"ElasticCosFace", kElasticCosFace},
      {"ElasticArcFacePlus", kElasticArcFacePlus},
      {"ElasticCosFacePlus", kElasticCosFacePlus},
      {"CurricularFace", kCurricularFace},
      {"AdaFace", kAdaFace}};
  for (const auto& [name, kind] : kinds) {
    if (head == name) return kind;
  }
  return model::margin_kind(head);
}

/// "step10" comes after "step9".
bool in_order(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

torch::Tensor ones_but(std::int64_t size, const torch::Tensor& indices) {
  return torch::ones({size}, torch::kDouble).index_fill_(0, indices, 0.0);
}

torch::Tensor finite_rows(const torch::Tensor& values) {
  return values.isfinite().all(1).to(torch::kDouble);
}

}  // namespace

std::string loss_case_name(const ::testing::TestParamInfo<LossCase>& info) {
  std::string name = info.param.group + "_" + info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

std::vector<LossCase> loss_cases() {
  const Golden golden("losses.h5");
  std::vector<LossCase> cases;
  for (const auto& loss : golden.names("/")) {
    if (loss == "input") continue;
    for (const auto& name : golden.names(loss)) cases.push_back({loss, name});
  }
  return cases;
}

model::MarginOptions golden_margin(const Golden& golden, const std::string& object,
                                   const std::string& head) {
  model::MarginOptions options = model::margin_defaults(kind_of(head));
  options.scale = golden.number_or(object, "s", options.scale);
  options.margin = golden.number_or(object, "m", options.margin);
  options.elastic_std = golden.number_or(object, "std", options.elastic_std);
  options.adaface_h = golden.number_or(object, "h", options.adaface_h);
  options.adaface_t_alpha = golden.number_or(object, "alpha", options.adaface_t_alpha);
  options.curricular_momentum = golden.number_or(object, "t_momentum", options.curricular_momentum);
  return options;
}

bool is_angular(const model::MarginOptions& options) {
  using enum model::MarginKind;
  return options.kind == kArcFace || options.kind == kElasticArcFace ||
         options.kind == kElasticArcFacePlus || options.kind == kCurricularFace ||
         options.kind == kAdaFace;
}

double singular_logit_tolerance(const model::MarginOptions& options, double epsilon) {
  return options.scale * std::sqrt(epsilon);
}

model::MarginOptions GoldenLoss::options() const {
  const bool paper = case_.group.ends_with(kPaper);
  const bool adaface = case_.group == kAdaFacePaper;
  // Groups of a paper's formula have the attributes of the released head where they have none of
  // their own.
  const std::string head = adaface ? "AdaFace" : without_suffix(case_.group, kPaper);
  std::string home = adaface ? path() : case_.group;
  if (!golden_.has_attribute(home, "s") && golden_.has(head)) home = head;
  model::MarginOptions options = golden_margin(golden_, home, head);
  if (!paper && !adaface) options.preset = model::LossPreset::kReference;
  return options;
}

HeadProblem GoldenLoss::input(const std::string& group) const {
  // batch2 and batch3 go with the weight of main.
  const std::string weight = golden_.has(group + "/weight_CD") ? group : "input/main";
  return {golden_tensor(golden_, group + "/embedding"), golden_ids(golden_, group + "/label"),
          golden_tensor(golden_, weight + "/weight_CD")};
}

torch::Tensor GoldenLoss::wanted(const LossStep& step, const std::string& leaf) const {
  const std::string single = step.path + "/" + leaf;
  return golden_tensor64(golden_, golden_.has_float64(single) ? single + "_f64" : single);
}

torch::Tensor GoldenLoss::rounding(const LossStep& step, const std::string& leaf) const {
  const std::string single = step.path + "/" + leaf;
  if (!golden_.has(single) || !golden_.has_float64(single)) return {};
  return (golden_tensor64(golden_, single) - golden_tensor64(golden_, single + "_f64")).abs();
}

LossStep GoldenLoss::step(const std::string& path, const std::string& input_group) const {
  LossStep step{path, input_group, input(input_group), {}, {}, {}};
  const std::int64_t rows = step.problem.labels.size(0);
  const std::int64_t classes = step.problem.weight.size(0);
  const torch::Tensor none = torch::empty({0}, torch::kLong);
  const bool listed = golden_.has(input_group + "/singular_rows");
  step.regular_rows =
      ones_but(rows, listed ? golden_ids(golden_, input_group + "/singular_rows") : none);
  step.regular_classes =
      ones_but(classes, listed ? golden_ids(golden_, input_group + "/singular_classes") : none);
  if (golden_.has_attribute(path, "gradient_finite") &&
      golden_.number(path, "gradient_finite") == 0.0) {
    step.regular_rows *= finite_rows(wanted(step, "grad_embedding"));
    step.regular_classes *= finite_rows(wanted(step, "grad_weight_CD"));
  }
  if (golden_.has(path + "/margin_drawn"))
    step.drawn = golden_tensor64(golden_, path + "/margin_drawn").reshape({rows});
  if (golden_.has(path + "/margin_per_sample_f64"))
    step.drawn = golden_tensor64(golden_, path + "/margin_per_sample_f64");
  return step;
}

std::vector<LossStep> GoldenLoss::steps() const {
  if (!golden_.has(path() + "/step0")) {
    const bool own_input = golden_.has(path() + "/embedding");
    return {step(path(), own_input ? path() : "input/" + case_.name)};
  }
  // main, batch2, batch3, ...
  auto names = golden_.names(path());
  std::sort(names.begin(), names.end(), in_order);
  std::vector<LossStep> steps;
  for (const auto& name : names) {
    const std::string batch = steps.empty() ? "main" : "batch" + std::to_string(steps.size() + 1);
    steps.push_back(step(path() + "/" + name, "input/" + batch));
  }
  return steps;
}

std::vector<std::pair<std::string, double>> GoldenLoss::state(const LossStep& step) const {
  std::vector<std::pair<std::string, double>> state;
  const std::pair<const char*, const char*> names[] = {
      {"state_t", "t"}, {"state_batch_mean", "norm_mean"}, {"state_batch_std", "norm_std"}};
  for (const auto& [attribute, name] : names) {
    if (!golden_.has_attribute(step.path, attribute)) continue;
    const std::string exact = std::string(attribute) + "_f64";
    state.emplace_back(
        name,
        golden_.number(step.path, golden_.has_attribute(step.path, exact) ? exact : attribute));
  }
  return state;
}

std::vector<double> elements(const torch::Tensor& values) {
  if (!values.defined()) return {};
  const auto flat = values.to(torch::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

void give_margins(model::Margin& margin, const LossStep& step) {
  if (step.drawn.defined()) dynamic_cast<model::ElasticMargin&>(margin).set_margins(step.drawn);
}

}  // namespace diffprob::tests

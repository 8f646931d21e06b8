#pragma once

#include <string>
#include <vector>

#include "tests/model/head_test_support.h"

namespace diffprob::tests {

/// A case of losses.h5: one head, one step or a sequence of them. group "CosFace", "adaface_paper/alpha_1", ...; name "main", "sequence",
/// ...
struct LossCase {
  std::string group;
  std::string name;
  [[nodiscard]] bool operator==(const LossCase&) const = default;
};
/// All of the file.
[[nodiscard]] std::vector<LossCase> loss_cases();

/// One batch given to the head of a case, and where its results are.
struct LossStep {
  std::string path;
  HeadProblem problem;
  torch::Tensor drawn;            ///< [B] margins of elastic heads, else undefined
  torch::Tensor regular_rows;     ///< [B] float64, 0 where the file says (or shows, by NaN) that the reference is singular, else 1
  torch::Tensor regular_classes;  ///< [C] float64
};

class GoldenLoss {
 public:
  explicit GoldenLoss(LossCase which) : case_(std::move(which)) {}
  /// What the reference ran, or for ..._paper groups what its paper says.
  [[nodiscard]] model::MarginOptions options() const;
  [[nodiscard]] std::vector<LossStep> steps() const;
  /// float64, the `_f64` dataset where there is one.
  [[nodiscard]] torch::Tensor wanted(const LossStep& step, const std::string& leaf) const;
  /// Whether wanted() gives numbers of a float64 run.
  [[nodiscard]] bool is_double(const LossStep& step) const { return golden_.has(step.path + "/logits_f64"); }
  /// Attributes of the step by the names of Margin::state(); only those that are there.
  [[nodiscard]] std::vector<std::pair<std::string, double>> state(const LossStep& step) const;
  [[nodiscard]] HeadProblem input(const std::string& group) const;
  [[nodiscard]] const Golden& file() const { return golden_; }
  [[nodiscard]] std::string path() const { return case_.group + "/" + case_.name; }

 private:
  [[nodiscard]] LossStep step(const std::string& path, const std::string& input_group) const;

  LossCase case_;
  Golden golden_{"losses.h5"};
};

/// The margin of a case, with the margins drawn by the reference if there are any.
void give_margins(model::Margin& margin, const LossStep& step);

}  // namespace diffprob::tests

#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/model/head_test_support.h"

namespace diffprob::tests {

/// A case of losses.h5: one head, one step or a sequence of them. group "CosFace",
/// "adaface_paper/alpha_1", ...; name "main", "sequence",
/// ...
struct LossCase {
  std::string group;
  std::string name;
  [[nodiscard]] bool operator==(const LossCase&) const = default;
};
/// All of the file.
[[nodiscard]] std::vector<LossCase> loss_cases();
/// Name of a case for INSTANTIATE_TEST_SUITE_P: letters, digits and '_'.
[[nodiscard]] std::string loss_case_name(const ::testing::TestParamInfo<LossCase>& info);

/// Options of the head that a file names ("ArcFace", or a name of model::margin_kind) from the
/// attributes s, m, std, h, alpha and t_momentum of `object`. Those that the object lacks are the
/// published ones.
[[nodiscard]] model::MarginOptions golden_margin(const Golden& golden, const std::string& object,
                                                 const std::string& head);

/// True for the kinds whose own-class logit goes through an arc cosine, with its rounding near +-1.
[[nodiscard]] bool is_angular(const model::MarginOptions& options);

/// What a logit near a cosine of +-1 may be off by: there an arc cosine turns rounding of the
/// cosine into its square root.
[[nodiscard]] double singular_logit_tolerance(const model::MarginOptions& options, double epsilon);

/// One batch given to the head of a case, and where its results are.
struct LossStep {
  std::string path;
  std::string input_group;
  HeadProblem problem;
  torch::Tensor drawn;         ///< [B] margins of elastic heads, else undefined
  torch::Tensor regular_rows;  ///< [B] float64, 0 where the file says (or shows, by NaN) that the
                               ///< reference is singular, else 1
  torch::Tensor regular_classes;  ///< [C] float64
};

class GoldenLoss {
 public:
  explicit GoldenLoss(LossCase which) : case_(std::move(which)) {}
  /// What the reference ran, or for ..._paper groups what its paper says.
  [[nodiscard]] model::MarginOptions options() const;
  [[nodiscard]] std::vector<LossStep> steps() const;
  /// Values as float64, of the float64 run where the file has it.
  [[nodiscard]] torch::Tensor wanted(const LossStep& step, const std::string& leaf) const;
  /// True if wanted() gives numbers of a float64 run.
  [[nodiscard]] bool is_double(const LossStep& step) const {
    return golden_.has_float64(step.path + "/logits");
  }
  /// |float32 run - float64 run| in the shape of the dataset; undefined if the file lacks one of
  /// the two.
  [[nodiscard]] torch::Tensor rounding(const LossStep& step, const std::string& leaf) const;
  /// True if the batch has rows at which the reference is singular, and rows whose gradients differ
  /// by orders of magnitude.
  [[nodiscard]] bool is_edge(const LossStep& step) const {
    return golden_.has(step.input_group + "/singular_rows");
  }
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

/// Elements as they lie in memory; none for an undefined tensor.
[[nodiscard]] std::vector<double> elements(const torch::Tensor& values);

/// The margin of a case, with the margins drawn by the reference if there are any.
void give_margins(model::Margin& margin, const LossStep& step);

}  // namespace diffprob::tests

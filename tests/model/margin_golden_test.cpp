// Every margin against losses.h5, in a replicated float64 head: formulas and state without the rounding of float32 or of the sharding.
#include <cstdio>

#include "model/margin_adaface.h"
#include "tests/model/golden_losses.h"

namespace diffprob::tests {
namespace {

/// The file's float64 numbers are met far better than its README asks; cases that exist in float32 only as it asks.
struct Allowed {
  double logits, loss, probability, gradient;
};
constexpr Allowed kDouble = {1e-9, 1e-9, 1e-9, 1e-8};
constexpr Allowed kSingle = {1e-5, 1e-5, 5e-5, 1e-5};
constexpr double kSingularLogits = 2e-2;  // absolute, arc cosine near +-1

class MarginGolden : public ::testing::TestWithParam<LossCase> {
 protected:
  [[nodiscard]] std::unique_ptr<model::Margin> make() const {
    // The released head itself, fed with raw norms: no preset of ours.
    if (GetParam().name == "sequence_raw_norm") {
      auto rules = model::adaface_rules(golden_.options());
      rules.unit_norms = false;
      return std::make_unique<model::AdaFaceMargin>(golden_.options(), rules, at::kCPU);
    }
    return model::make_margin(golden_.options(), at::kCPU);
  }
  void check(model::Margin& margin, const LossStep& step);
  void check_logits(const LossStep& step, const torch::Tensor& logits, const Allowed& allowed);
  static void check_gradient(const torch::Tensor& ours, const torch::Tensor& wanted, const torch::Tensor& regular,
                             const torch::Tensor& norms, double allowed, const char* what);
  void check_state(model::Margin& margin, const LossStep& step);
  void run_steps();
  void no_margin_case();
  void negative_label_case();

  GoldenLoss golden_{GetParam()};
};

void MarginGolden::check_logits(const LossStep& step, const torch::Tensor& logits, const Allowed& allowed) {
  const auto wanted = golden_.wanted(step, "logits");
  const auto regular = step.regular_rows.unsqueeze(1);
  const double difference = distance(logits * regular, wanted * regular, largest(wanted));
  std::printf("  logits %.1e", difference);
  EXPECT_LE(difference, allowed.logits);
  EXPECT_LE(distance(logits, wanted), kSingularLogits);
}

/// Row by row, so that a row of small gradient is not hidden by a large one: within `allowed` of the largest element of the row, or of
/// 1 / norm of what was normalised (below that a row is rounding only). Rows that are not regular are asked to be finite.
void MarginGolden::check_gradient(const torch::Tensor& ours, const torch::Tensor& wanted, const torch::Tensor& regular,
                                  const torch::Tensor& norms, double allowed, const char* what) {
  EXPECT_TRUE(ours.isfinite().all().item<bool>()) << what;
  const auto rows = regular.nonzero().squeeze(1);
  if (rows.size(0) == 0) return;
  const auto expected = wanted.index_select(0, rows);
  const auto scale = (expected.abs().amax(1) + 0.1 / norms.index_select(0, rows)).unsqueeze(1);
  const double difference = distance((ours.index_select(0, rows) - expected) / scale, torch::zeros({1}));
  std::printf("  %s %.1e (%ld rows)", what, difference, static_cast<long>(rows.size(0)));
  EXPECT_LE(difference, allowed) << what;
}

void MarginGolden::check_state(model::Margin& margin, const LossStep& step) {
  const auto wanted = golden_.state(step);
  const auto state = margin.state();
  ASSERT_TRUE(wanted.empty() || wanted.size() == state.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(state[i].first, wanted[i].first);
    EXPECT_NEAR(state[i].second.item<double>(), wanted[i].second, 1e-9 * std::max(1.0, std::abs(wanted[i].second))) << wanted[i].first;
  }
}

void MarginGolden::check(model::Margin& margin, const LossStep& step) {
  SCOPED_TRACE(step.path);
  give_margins(margin, step);
  const Allowed& allowed = golden_.is_double(step) ? kDouble : kSingle;

  const auto head = dense_head(step.problem, margin);

  std::printf("[ margins  ] %s:", step.path.c_str());
  check_logits(step, head.logits, allowed);
  // Rows where the reference's arc cosine is singular are part of the mean.
  const double loss_allowed = step.regular_rows.min().item<double>() == 0.0 ? kSingle.loss : allowed.loss;
  const auto loss = golden_.wanted(step, "loss");
  EXPECT_LE(distance(head.loss, loss, largest(loss)), loss_allowed);
  EXPECT_LE(distance(head.probability, golden_.wanted(step, "prob")), std::max(allowed.probability, loss_allowed));
  const auto lengths = [](const torch::Tensor& rows) { return rows.to(torch::kDouble).norm(2, 1); };
  check_gradient(head.grad_embeddings, golden_.wanted(step, "grad_embedding"), step.regular_rows, lengths(step.problem.embeddings),
                 allowed.gradient, "embedding");
  check_gradient(head.grad_weight, golden_.wanted(step, "grad_weight_CD"), step.regular_classes, lengths(step.problem.weight),
                 allowed.gradient, "weight");
  std::printf("\n");
  check_state(margin, step);
  if (golden_.file().has(step.path + "/margin_scaler_f64")) {
    const auto& scaler = dynamic_cast<model::AdaFaceMargin&>(margin).margin_scaler();
    EXPECT_LE(distance(scaler, golden_.wanted(step, "margin_scaler")), 1e-12);
  }
}

void MarginGolden::run_steps() {
  const auto margin = make();
  const auto steps = golden_.steps();
  ASSERT_FALSE(steps.empty());
  for (const auto& step : steps) check(*margin, step);
}

void MarginGolden::no_margin_case() {
  auto options = golden_.options();
  options.kind = model::MarginKind::kNone;
  const auto margin = model::make_margin(options, at::kCPU);
  const LossStep step{golden_.path(), golden_.input("input/main"), {}, {}, {}};

  const auto head = dense_head(step.problem, *margin);

  const auto logits = golden_.wanted(step, "logits");
  EXPECT_LE(distance(head.logits, logits, largest(logits)), kSingle.logits);
  EXPECT_LE(distance(head.probability, golden_.wanted(step, "prob")), kSingle.probability);
  EXPECT_TRUE(torch::equal(head.logits.argmax(1), golden_ids(golden_.file(), golden_.path() + "/predicted")));
}

/// A row without an own class has scaled cosines and nothing else.
void MarginGolden::negative_label_case() {
  const LossStep step{golden_.path(), golden_.input("input/main"), {}, {}, {}};
  const auto labels = golden_ids(golden_.file(), golden_.path() + "/label");
  const auto rows = (labels >= 0).nonzero().squeeze(1);
  ASSERT_LT(rows.size(0), labels.size(0));
  const auto margin = make();
  const auto cosines = dense_cosines(step.problem);
  const auto own = labels.index_select(0, rows);

  const auto target = margin->target({cosines.index({rows, own}), torch::ones({rows.size(0)}), 0});
  const auto logits = (cosines * margin->options().scale).index_put({rows, own}, target.logits);

  EXPECT_FALSE(margin->changes_others());
  const auto wanted = golden_.wanted(step, "logits");
  EXPECT_LE(distance(logits, wanted, largest(wanted)), kSingle.logits);
}

TEST_P(MarginGolden, AgreesWithTheReference) {
  if (GetParam().name == "no_margin") return no_margin_case();
  if (GetParam().name == "negative_label") return negative_label_case();
  run_steps();
}

INSTANTIATE_TEST_SUITE_P(Losses, MarginGolden, ::testing::ValuesIn(loss_cases()), [](const auto& entry) {
  std::string name = entry.param.group + "_" + entry.param.name;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
});

}  // namespace
}  // namespace diffprob::tests

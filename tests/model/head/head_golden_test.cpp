// The sharded float32 head against losses.h5, every case of the file. Tolerances follow the
// rounding that the file shows; those of its README are for cases without a float32 or without a
// float64 run. margin_golden_test has the same cases for the formulas alone.
#include <cstdio>
#include <limits>

#include <gmock/gmock.h>

#include "tests/model/golden_losses.h"

namespace diffprob::tests {
namespace {

using ::testing::HasSubstr;

class HeadGolden : public ::testing::TestWithParam<LossCase> {
 protected:
  void run_steps();
  void check_loss(HeadUnderTest& head, const LossStep& step, const model::HeadStep& ours);
  void check_embedding_gradients(HeadUnderTest& head, const LossStep& step,
                                 const torch::Tensor& ours);
  void check_weight_gradients(HeadUnderTest& head, const LossStep& step);
  void check_state(HeadUnderTest& head, const LossStep& step);
  [[nodiscard]] double logit_tolerance(const LossStep& step) const;
  [[nodiscard]] torch::Tensor embedding_gradient_tolerance(const LossStep& step,
                                                           const torch::Tensor& wanted) const;
  void expect_target_logits(HeadUnderTest& head, const LossStep& step,
                            const model::MarginOptions& options);
  void no_margin_case();
  void negative_label_case();
  [[nodiscard]] bool on_rank_0() const { return communicator_->rank() == 0; }

  GoldenLoss golden_{GetParam()};
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
};

/// Absolute, for the rows at which the reference is regular.
double HeadGolden::logit_tolerance(const LossStep& step) const {
  const double size = largest(golden_.wanted(step, "logits"));
  auto rounding = golden_.rounding(step, "logits");
  if (rounding.defined())
    rounding = rounding.index_select(0, step.regular_rows.nonzero().squeeze(1));
  return float32_tolerance(elements(rounding), 1e-5 * size, 1e-5 * size, step.path + "/logits");
}

/// The loss moves as much as the logits do, a probability half as much.
void HeadGolden::check_loss(HeadUnderTest& head, const LossStep& step,
                            const model::HeadStep& ours) {
  const double logits = logit_tolerance(step);
  const auto loss = golden_.wanted(step, "loss");
  EXPECT_LE(distance(ours.loss, loss), std::max(logits, 1e-5 * largest(loss)));
  EXPECT_LE(distance(ours.probability, head.own(golden_.wanted(step, "prob"))),
            std::max(logits / 2, 5e-5));
}

/// [B], absolute. Rows differ by orders of magnitude, so each has its own tolerance: in a file with
/// both runs by its own rounding; else that of the README, which compares rows of a usual batch
/// with the largest element of all. Infinite for rows that are not regular.
torch::Tensor HeadGolden::embedding_gradient_tolerance(const LossStep& step,
                                                       const torch::Tensor& wanted) const {
  const auto norms = step.problem.embeddings.to(torch::kDouble).norm(2, 1);
  const auto row_size = wanted.abs().amax(1);
  const auto rounding = golden_.rounding(step, "grad_embedding");
  auto allowed = torch::empty_like(norms);
  for (std::int64_t row = 0; row < norms.size(0); ++row) {
    const double size = row_size[row].item<double>();
    const double norm = norms[row].item<double>();
    const double of_edge = 1e-4 * size + (is_angular(golden_.options()) ? 1e-3 : 1e-6) / norm;
    const double published =
        golden_.is_edge(step) ? of_edge : 1e-5 * std::max(largest(wanted), 1e-30);
    allowed[row] = step.regular_rows[row].item<double>() == 0.0
                       ? 1e30
                       : float32_tolerance(
                             rounding.defined() ? elements(rounding[row]) : std::vector<double>{},
                             1e-5 * size + 1e-6 / norm, published,
                             step.path + "/grad_embedding row " + std::to_string(row));
  }
  return allowed;
}

void HeadGolden::check_embedding_gradients(HeadUnderTest& head, const LossStep& step,
                                           const torch::Tensor& ours) {
  EXPECT_TRUE(ours.isfinite().all().item<bool>());
  const auto wanted = torch::nan_to_num(golden_.wanted(step, "grad_embedding"));
  const auto allowed = embedding_gradient_tolerance(step, wanted);
  const double ratio =
      distance((ours - head.own(wanted)) / head.own(allowed).unsqueeze(1), torch::zeros({1}));
  if (on_rank_0()) std::printf("  embedding gradient at %.2f of the tolerance", ratio);
  EXPECT_LE(ratio, 1.0);
}

void HeadGolden::check_weight_gradients(HeadUnderTest& head, const LossStep& step) {
  const auto ours = head.head().weight().grad().cpu();
  EXPECT_TRUE(ours.isfinite().all().item<bool>());
  const auto wanted =
      torch::nan_to_num(golden_.wanted(step, "grad_weight_CD")) * step.regular_classes.unsqueeze(1);
  const double size = std::max(largest(wanted), 1e-30);
  auto rounding = golden_.rounding(step, "grad_weight_CD");
  if (rounding.defined())
    rounding = rounding.index_select(0, step.regular_classes.nonzero().squeeze(1)) / size;
  const double published = golden_.is_edge(step)           ? 1e-3
                           : is_angular(golden_.options()) ? 2e-4
                                                           : 1e-4;
  const double allowed =
      float32_tolerance(elements(rounding), 1e-5, published, step.path + "/grad_weight_CD");
  const double difference = distance(ours * head.own_classes(step.regular_classes).unsqueeze(1),
                                     head.own_classes(wanted), size);
  if (on_rank_0()) std::printf(", weight gradient %.1e (allowed %.0e)\n", difference, allowed);
  EXPECT_LE(difference, allowed);
}

void HeadGolden::check_state(HeadUnderTest& head, const LossStep& step) {
  const auto wanted = golden_.state(step);
  const auto state = head.head().margin().state();
  ASSERT_TRUE(wanted.empty() || wanted.size() == state.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(state[i].second.item<double>(), wanted[i].second,
                1e-6 * std::max(1.0, std::abs(wanted[i].second)))
        << wanted[i].first;
  }
}

/// Own-class logits from the cosines that the head works with.
void HeadGolden::expect_target_logits(HeadUnderTest& head, const LossStep& step,
                                      const model::MarginOptions& options) {
  const auto logits = golden_.wanted(step, "logits");
  const auto target = logits.gather(1, step.problem.labels.unsqueeze(1)).squeeze(1);
  const auto ours =
      model::apply_margin(head.score(options).cosine.to(torch::kDouble), options).logits;
  const auto regular = head.own(step.regular_rows);
  EXPECT_LE(distance(ours * regular, head.own(target) * regular), logit_tolerance(step));
  EXPECT_LE(distance(ours, head.own(target)),
            singular_logit_tolerance(options, std::numeric_limits<float>::epsilon()));
}

void HeadGolden::run_steps() {
  const auto options = golden_.options();
  const auto steps = golden_.steps();
  ASSERT_FALSE(steps.empty());
  HeadUnderTest head(steps.front().problem, options, *communicator_);
  for (const auto& step : steps) {
    SCOPED_TRACE(step.path);
    head.next_batch(step.problem);
    give_margins(head.head().margin(), step);

    const auto ours = head.step();

    if (on_rank_0()) std::printf("[ head     ] %s:", step.path.c_str());
    check_loss(head, step, ours);
    check_embedding_gradients(head, step, ours.grad_embeddings);
    check_weight_gradients(head, step);
    check_state(head, step);
    using enum model::MarginKind;
    if (options.kind == kCosFace || options.kind == kArcFace || options.kind == kCurricularFace)
      expect_target_logits(head, step, options);
  }
}

void HeadGolden::no_margin_case() {
  const LossStep step{golden_.path(),
                      "input/main",
                      golden_.input("input/main"),
                      {},
                      torch::ones({golden_.input("input/main").labels.size(0)}),
                      {}};
  model::MarginOptions none = golden_.options();
  none.kind = model::MarginKind::kNone;
  HeadUnderTest head(step.problem, golden_.options(), *communicator_);
  const auto predicted = golden_ids(golden_.file(), golden_.path() + "/predicted");

  const auto scores = head.score(none);
  const auto correct = head.step().correct;

  EXPECT_LE(distance(scores.probability, head.own(golden_.wanted(step, "prob"))), 5e-5);
  EXPECT_TRUE(torch::equal(scores.top1, head.own(predicted)));
  EXPECT_TRUE(torch::equal(correct, head.own(predicted == step.problem.labels)));
  expect_target_logits(head, step, none);
  const auto top = std::get<0>(golden_.wanted(step, "logits").log_softmax(1).topk(2, 1));
  EXPECT_LE(distance(scores.top1_log_prob, head.own(top.select(1, 0))), 1e-4);
  EXPECT_LE(distance(scores.second_log_prob, head.own(top.select(1, 1))), 1e-4);
}

/// The reference gives such rows no margin in the logits and then fails in the loss; here the label
/// is an error, on every rank.
void HeadGolden::negative_label_case() {
  auto problem = golden_.input("input/main");
  problem.labels = golden_ids(golden_.file(), golden_.path() + "/label");
  HeadUnderTest head(problem, golden_.options(), *communicator_);
  const auto first_bad = (problem.labels < 0).to(torch::kLong).argmax().item<std::int64_t>();
  std::int64_t row = first_bad;
  std::size_t rank = 0;
  while (row >= head.counts()[rank]) row -= head.counts()[rank++];
  const std::string named = "rank " + std::to_string(rank) + ", row " + std::to_string(row) +
                            " of its batch: label " +
                            std::to_string(problem.labels[first_bad].item<std::int64_t>());

  const auto run = [&](auto&& call) -> std::string {
    try {
      call();
    } catch (const c10::Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(run([&] {
                (void)head.step();
                head.head().check_labels();
              }),
              HasSubstr(named));
  EXPECT_THAT(run([&] { (void)head.score(golden_.options()); }), HasSubstr(named));
}

TEST_P(HeadGolden, AgreesWithTheReference) {
  const auto& name = GetParam().name;
  if (name == "no_margin") return no_margin_case();
  if (name == "negative_label") return negative_label_case();
  run_steps();
}

/// The released AdaFace fed with raw norms is neither the paper's formula nor what the reference
/// trains with: no preset of the head.
std::vector<LossCase> head_cases() {
  auto cases = loss_cases();
  std::erase_if(cases, [](const LossCase& one) { return one.name == "sequence_raw_norm"; });
  return cases;
}

TEST(HeadGoldenSet, HasCases) {
  EXPECT_FALSE(head_cases().empty()) << "losses.h5 has no case at all";
}

INSTANTIATE_TEST_SUITE_P(Losses, HeadGolden, ::testing::ValuesIn(head_cases()), loss_case_name);

}  // namespace
}  // namespace diffprob::tests

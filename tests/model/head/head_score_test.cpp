// ShardedHead::score against float64 sums over all classes, with probabilities from 1 - 1e-20 to
// 1e-50.
#include <torch/nn/functional/normalization.h>
#include <cmath>

#include "tests/model/head_test_support.h"

namespace diffprob::tests {
namespace {

/// Row i points to its centre with a strength that goes from far along it to far against it.
HeadProblem graded_problem(std::int64_t rows, std::int64_t classes, std::int64_t dim) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{4});
  HeadProblem problem;
  problem.weight = torch::nn::functional::normalize(torch::randn({classes, dim}, generator));
  problem.labels = torch::randint(classes, {rows}, generator, torch::kLong);
  const auto noise = torch::nn::functional::normalize(torch::randn({rows, dim}, generator));
  const auto strength = torch::linspace(4.0, -4.0, rows).unsqueeze(1);
  problem.embeddings = (noise + strength * problem.weight.index_select(0, problem.labels)) * 7.0;
  return problem;
}

struct SlowScores {
  torch::Tensor nll, top1, top1_log_prob, second_log_prob, sum_p2, entropy, cosine;
};

SlowScores slow_scores(const HeadProblem& problem, const model::MarginOptions& margin) {
  const auto cosines = slow_head(problem, margin).cosines;
  const auto own = torch::one_hot(problem.labels, problem.weight.size(0)).to(torch::kBool);
  const double m = margin.kind == model::MarginKind::kCosFace ? margin.margin : 0.0;
  // -log p = log(1 + sum over other classes of exp(logit - own logit)), which float64 resolves for
  // every p.
  const auto others_over = [&](const torch::Tensor& logits, const torch::Tensor& which) {
    const auto reference = logits.masked_select(which).unsqueeze(1);
    return (logits - reference).exp().masked_fill(which, 0.0).sum(1).log1p();
  };
  const auto logits = margin.scale * cosines;
  SlowScores slow;
  slow.nll = others_over(logits - margin.scale * m * own.to(torch::kDouble), own);
  slow.top1 = logits.argmax(1);
  slow.top1_log_prob =
      -others_over(logits, torch::one_hot(slow.top1, problem.weight.size(0)).to(torch::kBool));
  const auto two = std::get<0>(logits.topk(2, 1));
  slow.second_log_prob = slow.top1_log_prob + two.select(1, 1) - two.select(1, 0);
  // Relative to the largest logit: log_softmax would lose log p of a class with p near 1.
  const auto log_p = logits - two.narrow(1, 0, 1) + slow.top1_log_prob.unsqueeze(1);
  slow.sum_p2 = log_p.exp().square().sum(1);
  slow.entropy = -(log_p.exp() * log_p).sum(1);
  slow.cosine = cosines.masked_select(own);
  return slow;
}

class HeadScoreTest : public ::testing::Test {
 protected:
  void expect_scores(const HeadProblem& problem, const model::MarginOptions& margin, Deal deal) {
    HeadUnderTest head(problem, {}, *communicator_, deal);
    const auto slow = slow_scores(problem, margin);

    const auto scores = head.score(margin);

    const double floor = 1e-35;  // below it float32 has no full precision
    EXPECT_LE(elementwise_distance(scores.nll, head.own(slow.nll), floor), 5e-5);
    EXPECT_LE(distance(scores.probability, head.own(slow.nll.neg().exp())), 2e-5);
    EXPECT_TRUE(torch::equal(scores.top1, head.own(slow.top1)));
    EXPECT_LE(elementwise_distance(scores.top1_log_prob, head.own(slow.top1_log_prob), floor),
              5e-5);
    EXPECT_LE(elementwise_distance(scores.second_log_prob, head.own(slow.second_log_prob), floor),
              5e-5);
    EXPECT_LE(elementwise_distance(scores.sum_p2, head.own(slow.sum_p2), floor), 5e-5);
    EXPECT_LE(elementwise_distance(scores.entropy, head.own(slow.entropy), floor), 5e-5);
    EXPECT_LE(distance(scores.cosine, head.own(slow.cosine)), 1e-6);
    EXPECT_LE(elementwise_distance(scores.norm,
                                   head.own(problem.embeddings.to(torch::kDouble).norm(2, 1)), 0.0),
              1e-6);
  }
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
};

TEST_F(HeadScoreTest, EqualsBruteForceInFloat64) {
  for (const auto& [rows, classes, dim] : {std::tuple{64, 100, 64}, std::tuple{10, 3, 16},
                                           std::tuple{5, 2, 8}, std::tuple{33, 1001, 128}}) {
    const auto problem = graded_problem(rows, classes, dim);
    for (const auto deal : {Deal::kEven, Deal::kUneven, Deal::kFirstEmpty, Deal::kAllOnLast}) {
      SCOPED_TRACE(c10::str(rows, " rows, ", classes, " classes, deal ", static_cast<int>(deal)));
      expect_scores(problem, {model::MarginKind::kNone, 64.0, 0.0}, deal);
      expect_scores(problem, {model::MarginKind::kCosFace, 64.0, 0.35}, deal);
    }
  }
}

TEST_F(HeadScoreTest, NllKeepsItsDigitsWhereProbabilityIsOne) {
  const auto problem = graded_problem(64, 100, 64);
  const auto slow = slow_scores(problem, {model::MarginKind::kNone, 64.0, 0.0});
  HeadUnderTest head(problem, {}, *communicator_, Deal::kAllOnLast);

  const auto scores = head.score({model::MarginKind::kNone, 64.0, 0.0});

  // The problem has rows that float32 probabilities cannot tell apart, and rows near 0: else this
  // test shows nothing.
  ASSERT_LT(slow.nll.min().item<double>(), 1e-15);
  ASSERT_GT(slow.nll.max().item<double>(), 50.0);
  if (scores.nll.size(0) == 0) return;
  const auto saturated = scores.probability == 1.0f;
  ASSERT_GE(saturated.sum().item<std::int64_t>(), 8);
  EXPECT_TRUE((scores.nll.masked_select(saturated) > 0).all().item<bool>());
  EXPECT_LE(elementwise_distance(scores.nll, head.own(slow.nll), 0.0), 5e-5);
}

TEST_F(HeadScoreTest, EmptyGlobalBatchIsNoError) {
  auto problem = graded_problem(4, 10, 8);
  problem.embeddings = problem.embeddings.narrow(0, 0, 0);
  problem.labels = problem.labels.narrow(0, 0, 0);
  HeadUnderTest head(problem, {}, *communicator_);

  const auto scores = head.score({});

  EXPECT_EQ(scores.nll.size(0), 0);
  EXPECT_EQ(scores.top1.size(0), 0);
  EXPECT_THROW((void)head.step(), c10::Error);
}

TEST_F(HeadScoreTest, LeavesTheGradientAlone) {
  HeadUnderTest head(graded_problem(12, 30, 16), {}, *communicator_);
  (void)head.step();
  const auto before = head.head().weight().grad().clone();

  (void)head.score({});

  EXPECT_TRUE(torch::equal(head.head().weight().grad(), before));
}

}  // namespace
}  // namespace diffprob::tests

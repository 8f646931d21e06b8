// Centres made from embeddings, and scores that leave the sample itself out, against loops over all
// samples in float64.
#include "model/head/identity_centres.h"
#include <torch/nn/functional/normalization.h>

#include <cmath>

#include "tests/model/head_test_support.h"

namespace diffprob::tests {
namespace {

constexpr std::int64_t kEmpty = 3;   // a class without samples
constexpr std::int64_t kSingle = 5;  // a class of one sample

/// Classes of 0, 1, 2 and more samples, rows around a direction per class, some far from it.
HeadProblem uneven_problem(std::int64_t classes, std::int64_t dim) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{9});
  std::vector<std::int64_t> labels;
  for (std::int64_t c = 0; c < classes; ++c) {
    const std::int64_t size = c == kEmpty ? 0 : c == kSingle ? 1 : 2 + c % 7;
    labels.insert(labels.end(), static_cast<std::size_t>(size), c);
  }
  HeadProblem problem;
  problem.labels = torch::tensor(labels);
  const auto order = torch::randperm(problem.labels.size(0), generator, torch::kLong);
  problem.labels = problem.labels.index_select(0, order);
  const auto directions = torch::randn({classes, dim}, generator);
  problem.embeddings = directions.index_select(0, problem.labels) +
                       torch::randn({problem.labels.size(0), dim}, generator);
  problem.embeddings.narrow(0, 0, 4).neg_();
  problem.weight = torch::zeros({classes, dim});
  return problem;
}

struct SlowScores {
  torch::Tensor cosine;   ///< [B] to the own centre without the sample
  torch::Tensor cosines;  ///< [B, C], the own column as above
};

/// From the definition: the mean of the unit embeddings of class c, sample i left out.
SlowScores slow_leave_one_out(const HeadProblem& problem, std::int64_t classes) {
  const auto unit = torch::nn::functional::normalize(problem.embeddings.to(torch::kDouble));
  const std::int64_t samples = unit.size(0);
  SlowScores slow{torch::empty({samples}, torch::kDouble),
                  torch::empty({samples, classes}, torch::kDouble)};
  for (std::int64_t i = 0; i < samples; ++i) {
    for (std::int64_t c = 0; c < classes; ++c) {
      const bool own = problem.labels[i].item<std::int64_t>() == c;
      auto sum = torch::zeros({unit.size(1)}, torch::kDouble);
      std::int64_t count = 0;
      for (std::int64_t j = 0; j < samples; ++j) {
        if (j == i || problem.labels[j].item<std::int64_t>() != c) continue;
        sum += unit[j];
        ++count;
      }
      double cosine = count == 0 ? -1.0 : unit[i].dot(sum / sum.norm()).item<double>();
      if (own && count == 0) cosine = 1;  // the only sample of its identity
      slow.cosines[i][c] = cosine;
      if (own) slow.cosine[i] = cosine;
    }
  }
  return slow;
}

class IdentityCentresTest : public ::testing::Test {
 protected:
  /// Scores of the samples by centres made of them, given in two batches.
  static model::HeadScores score(const HeadProblem& problem, dist::Communicator& communicator,
                                 Deal deal, const model::MarginOptions& margin) {
    HeadUnderTest head(problem, {}, communicator, deal);
    const auto centres = std::make_shared<model::IdentityCentres>(
        problem.weight.size(0), problem.weight.size(1), communicator);
    const std::int64_t half = problem.labels.size(0) / 2;
    for (const auto& [first, rows] :
         {std::pair(std::int64_t{0}, half), std::pair(half, problem.labels.size(0) - half)}) {
      HeadProblem part{problem.embeddings.narrow(0, first, rows),
                       problem.labels.narrow(0, first, rows), problem.weight};
      HeadUnderTest of_part(part, {}, communicator, deal);
      centres->add(on_device(of_part.own(part.embeddings)), on_device(of_part.own(part.labels)),
                   of_part.counts());
    }
    centres->finish();
    EXPECT_EQ(centres->singles(), 1);
    head.head().use_centres(centres);
    return head.score(margin);
  }
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
};

TEST_F(IdentityCentresTest, ScoresEqualBruteForceInFloat64) {
  for (const auto& [classes, dim] : {std::pair{12, 16}, std::pair{40, 64}}) {
    const HeadProblem problem = uneven_problem(classes, dim);
    const SlowScores slow = slow_leave_one_out(problem, classes);
    const model::MarginOptions margin{model::MarginKind::kNone, 32.0, 0.0};
    const auto log_p = (margin.scale * slow.cosines).log_softmax(1);
    const auto nll = -log_p.gather(1, problem.labels.unsqueeze(1)).squeeze(1);
    for (const auto deal : {Deal::kEven, Deal::kUneven, Deal::kFirstEmpty, Deal::kAllOnLast}) {
      SCOPED_TRACE(c10::str(classes, " classes, deal ", static_cast<int>(deal)));
      HeadUnderTest rows(problem, {}, *communicator_, deal);
      const auto scores = score(problem, *communicator_, deal, margin);
      EXPECT_LE(distance(scores.cosine, rows.own(slow.cosine)), 3e-7);
      EXPECT_LE(elementwise_distance(scores.nll, rows.own(nll), 1e-6), 5e-5);
      EXPECT_TRUE(torch::equal(scores.top1, rows.own(slow.cosines.argmax(1))));
      EXPECT_LE(distance(scores.sum_p2, rows.own(log_p.exp().square().sum(1))), 2e-5);
    }
  }
}

TEST_F(IdentityCentresTest, SameBitsForAnyNumberOfRanks) {
  if (!communicator_->device().is_cpu()) GTEST_SKIP() << "a GPU's scores are equal within rounding";
  const HeadProblem problem = uneven_problem(40, 64);
  const auto solo = make_solo_communicator();
  const auto alone = score(problem, *solo, Deal::kEven, {});
  HeadUnderTest rows(problem, {}, *communicator_, Deal::kUneven);
  const auto shared = score(problem, *communicator_, Deal::kUneven, {});
  EXPECT_TRUE(torch::equal(shared.cosine, rows.own(alone.cosine)));
  EXPECT_TRUE(torch::equal(shared.nll, rows.own(alone.nll)));
}

TEST_F(IdentityCentresTest, TwinsThatCancelHaveNoDirection) {
  HeadProblem problem;
  problem.embeddings = torch::tensor({{1.0f, 0.0f}, {-1.0f, 0.0f}, {0.0f, 1.0f}, {0.0f, 2.0f}});
  problem.labels = torch::tensor({0, 0, 0, 1}, torch::kLong);
  problem.weight = torch::zeros({2, 2});
  HeadUnderTest rows(problem, {}, *communicator_, Deal::kAllOnLast);
  const auto scores = score(problem, *communicator_, Deal::kAllOnLast, {});
  const float half = std::sqrt(0.5f);
  EXPECT_LE(distance(scores.cosine, rows.own(torch::tensor({-half, -half, 0.0f, 1.0f}))), 1e-6);
}

TEST_F(IdentityCentresTest, RefusesWhatIsNoDirectionAndForeignLabels) {
  HeadProblem problem = uneven_problem(12, 16);
  problem.embeddings[2][3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW((void)score(problem, *communicator_, Deal::kEven, {}), c10::Error);
  problem = uneven_problem(12, 16);
  problem.labels[1] = 12;
  EXPECT_THROW((void)score(problem, *communicator_, Deal::kEven, {}), c10::Error);
}

}  // namespace
}  // namespace diffprob::tests

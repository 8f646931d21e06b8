// The sharded head against a replicated one in float64 (head_test_support), on any number of ranks.
#include <cmath>

#include <gmock/gmock.h>

#include "data/random/keyed_random.h"
#include "model/optim/sgd.h"
#include "tests/model/head_scale_support.h"
#include "tests/model/head_test_support.h"

namespace diffprob::tests {
namespace {

/// log p(label) - log p(best other class) of a margin-free softmax, from the definition.
torch::Tensor slow_label_margin(const torch::Tensor& cosines, const torch::Tensor& labels,
                                double scale) {
  const auto log_probability = torch::log_softmax(cosines.to(torch::kDouble) * scale, 1);
  const auto column = labels.unsqueeze(1);
  return (log_probability.gather(1, column) -
          log_probability.scatter(1, column, -1e300).amax(1, true))
      .squeeze(1);
}

class ShardedHeadTest : public ::testing::Test {
 protected:
  void expect_replicated(const HeadProblem& problem, const model::MarginOptions& margin,
                         Deal deal) {
    HeadUnderTest head(problem, margin, *communicator_, deal);
    const auto slow = slow_head(problem, margin);

    const auto step = head.step();

    EXPECT_LE(distance(step.loss, slow.loss, largest(slow.loss)), 1e-5);
    EXPECT_LE(distance(step.probability, head.own(slow.probability)), 5e-5);
    EXPECT_LE(distance(step.grad_embeddings, head.own(slow.grad_embeddings),
                       largest(slow.grad_embeddings)),
              2e-5);
    EXPECT_LE(distance(head.head().weight().grad(), head.own_classes(slow.grad_weight),
                       largest(slow.grad_weight)),
              2e-5);
    EXPECT_TRUE(torch::equal(step.correct, head.own(slow.cosines.argmax(1) == problem.labels)));
    EXPECT_LE(distance(step.label_margin,
                       head.own(slow_label_margin(slow.cosines, problem.labels, margin.scale))),
              margin.scale * 2e-6);
    EXPECT_TRUE(same_on_all_ranks(step.loss, *communicator_));
  }
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
};

/// Weights of the losses, one of them 0; all of 1 give the bits of none.
TEST_F(ShardedHeadTest, WeighsTheLossesOfRows) {
  for (const auto deal : {Deal::kEven, Deal::kUneven, Deal::kFirstEmpty, Deal::kAllOnLast}) {
    SCOPED_TRACE(c10::str("deal ", static_cast<int>(deal)));
    const model::MarginOptions margin{model::MarginKind::kCosFace, 16.0, 0.2};
    auto problem = mixed_problem(24, 50, 32, 77);
    HeadUnderTest plain(problem, margin, *communicator_, deal);
    const auto without = plain.step();
    problem.row_weights = torch::ones({24});
    HeadUnderTest ones(problem, margin, *communicator_, deal);
    const auto with = ones.step();
    EXPECT_TRUE(torch::equal(with.loss, without.loss));
    EXPECT_TRUE(torch::equal(with.grad_embeddings, without.grad_embeddings));
    EXPECT_TRUE(torch::equal(ones.head().weight().grad(), plain.head().weight().grad()));
    problem.row_weights = torch::arange(24, torch::kFloat) / 8;
    expect_replicated(problem, margin, deal);
  }
}

TEST_F(ShardedHeadTest, EqualsReplicatedHeadForAnySizes) {
  struct Sizes {
    std::int64_t rows, classes, dim;
  };
  std::uint64_t seed = 1;
  for (const auto& [rows, classes, dim] :
       {Sizes{24, 50, 32}, {7, 13, 5}, {5, 3, 8}, {9, 2, 16}, {1, 101, 4}, {40, 257, 64}}) {
    for (const auto deal : {Deal::kEven, Deal::kUneven, Deal::kFirstEmpty, Deal::kAllOnLast}) {
      SCOPED_TRACE(c10::str(rows, " rows, ", classes, " classes, dim ", dim, ", deal ",
                            static_cast<int>(deal)));
      const auto problem = mixed_problem(rows, classes, dim, seed++);
      expect_replicated(problem, {model::MarginKind::kCosFace, 64.0, 0.35}, deal);
      expect_replicated(problem, {model::MarginKind::kNone, 30.0, 0.35}, deal);
    }
  }
}

TEST_F(ShardedHeadTest, OneClassHasZeroLossAndGradient) {
  HeadUnderTest head(mixed_problem(6, 1, 8, 77), {}, *communicator_);

  const auto step = head.step();
  const auto scores = head.score({});

  EXPECT_EQ(step.loss.item<float>(), 0.0f);
  EXPECT_EQ(largest(step.grad_embeddings), 0.0);
  EXPECT_EQ(largest(head.head().weight().grad()), 0.0);
  EXPECT_TRUE(step.correct.all().item<bool>());
  EXPECT_TRUE((step.probability == 1).all().item<bool>());
  EXPECT_TRUE((step.label_margin >= 0).all().item<bool>());  // finite and at least 0: the other
                                                             // class counts as a cosine of -1
  EXPECT_TRUE(torch::isfinite(step.label_margin).all().item<bool>());
  EXPECT_EQ(largest(scores.nll), 0.0);
  EXPECT_EQ(largest(scores.entropy), 0.0);
  EXPECT_TRUE((scores.sum_p2 == 1).all().item<bool>());
}

TEST_F(ShardedHeadTest, GradientIsWrittenNotAccumulated) {
  HeadUnderTest head(mixed_problem(12, 30, 16, 5), {}, *communicator_);
  (void)head.step();
  const auto first = head.head().weight().grad().clone();

  (void)head.step();

  EXPECT_TRUE(torch::equal(head.head().weight().grad(), first));
}

TEST_F(ShardedHeadTest, TakesHalfPrecisionEmbeddings) {
  auto problem = mixed_problem(12, 30, 16, 6);
  problem.embeddings = problem.embeddings.to(torch::kBFloat16);
  HeadUnderTest head(problem, {}, *communicator_);
  problem.embeddings = problem.embeddings.to(torch::kFloat);
  const auto slow = slow_head(problem, {});

  const auto step = head.step();

  EXPECT_LE(distance(step.loss, slow.loss, largest(slow.loss)), 1e-5);
  EXPECT_EQ(step.grad_embeddings.scalar_type(), torch::kFloat);
}

TEST_F(ShardedHeadTest, ZeroRowsStayFinite) {
  auto problem = mixed_problem(8, 20, 16, 9);
  problem.embeddings.index_fill_(0, torch::tensor({0, 3, 7}), 0.0);
  problem.weight.index_fill_(0, torch::tensor({0, 19}), 0.0);
  HeadUnderTest head(problem, {}, *communicator_);
  const auto slow = slow_head(problem, {});

  const auto step = head.step();
  const auto scores = head.score({});

  EXPECT_LE(distance(step.loss, slow.loss, largest(slow.loss)), 1e-5);
  EXPECT_TRUE(step.grad_embeddings.isfinite().all().item<bool>());
  EXPECT_TRUE(head.head().weight().grad().isfinite().all().item<bool>());
  const auto zero_rows = head.own(problem.embeddings.abs().amax(1) == 0);
  EXPECT_EQ(largest(step.grad_embeddings.masked_select(zero_rows.unsqueeze(1))), 0.0);
  EXPECT_TRUE(scores.nll.isfinite().all().item<bool>());
}

/// Cosines of one-hot rows are exact, so equal ones are equal bits on every rank.
TEST_F(ShardedHeadTest, LowestClassWinsAmongEqualCosines) {
  constexpr std::int64_t kClasses = 11;
  constexpr std::int64_t kDim = 4;
  HeadProblem problem;
  problem.weight = torch::zeros({kClasses, kDim});
  for (std::int64_t c = 0; c < kClasses; ++c)
    problem.weight[c][c % 3] = std::ldexp(1.0, static_cast<int>(c % 4));
  problem.labels = torch::arange(kClasses);
  const auto directions = problem.labels.remainder(3);
  problem.embeddings = torch::one_hot(directions, kDim).to(torch::kFloat) * 0.5;
  HeadUnderTest head(problem, {}, *communicator_);

  const auto step = head.step();
  const auto scores = head.score({});

  EXPECT_TRUE(torch::equal(step.correct, head.own(problem.labels < 3)));
  EXPECT_TRUE(torch::equal(scores.top1, head.own(directions)));
  EXPECT_TRUE(torch::equal(scores.top1_log_prob, scores.second_log_prob));
}

TEST_F(ShardedHeadTest, LabelOutOfRangeIsTheSameErrorOnEveryRank) {
  for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{20}, std::int64_t{1} << 40}) {
    auto problem = mixed_problem(9, 20, 8, 3);
    problem.labels[7] = bad;
    HeadUnderTest head(problem, {}, *communicator_, Deal::kUneven);
    std::string message = "no error";
    try {
      (void)head.step();
      head.head().check_labels();  // a GPU has it later
    } catch (const c10::Error& error) {
      message = error.what_without_backtrace();
    }
    EXPECT_THAT(message,
                ::testing::HasSubstr("label " + std::to_string(bad) + ", expected 0 to 19"));
    message.resize(200, ' ');
    const auto bytes = torch::tensor(std::vector<std::int64_t>(message.begin(), message.end()));
    EXPECT_TRUE(same_on_all_ranks(bytes, *communicator_));
    EXPECT_THROW((void)head.score({}), c10::Error);
  }
}

TEST_F(ShardedHeadTest, CentresOfThePapersAdaFaceStartWithNormOne) {
  model::HeadOptions options;
  options.num_classes = 90;
  options.embedding_dim = 512;
  options.margin = model::margin_defaults(model::MarginKind::kAdaFace);
  model::ShardedHead published(options, *communicator_);
  options.margin.preset = model::LossPreset::kReference;
  model::ShardedHead papers(options, *communicator_);
  const auto solo = make_solo_communicator();
  model::ShardedHead whole(options, *solo);

  const auto own = whole.weight().narrow(0, papers.first_class(), papers.local_classes());
  EXPECT_TRUE(torch::equal(papers.weight().cpu(), own.cpu()));
  EXPECT_LE(distance(papers.weight().cpu().norm(2, 1), torch::ones({papers.local_classes()})),
            1e-6);
  EXPECT_LE(distance(published.weight().cpu().norm(2, 1),
                     torch::full({published.local_classes()}, 0.226)),
            0.05);
  // A coordinate of a direction is uniform before it is divided by about sqrt(512 / 3).
  const auto coordinates = whole.weight().cpu() * std::sqrt(512.0 / 3);
  EXPECT_LE(coordinates.abs().max().item<double>(), 1.15);
  EXPECT_NEAR(coordinates.mean().item<double>(), 0, 0.02);
  EXPECT_NEAR(coordinates.std().item<double>(), 1 / std::sqrt(3.0), 0.005);
}

TEST_F(ShardedHeadTest, InitialCentresDependOnTheClassAlone) {
  constexpr std::int64_t kClasses = 211;
  constexpr std::int64_t kDim = 32;
  model::ShardedHead head(
      {.num_classes = kClasses, .embedding_dim = kDim, .margin = {}, .seed = 42}, *communicator_);

  auto all = torch::zeros({kClasses, kDim}, communicator_->device());
  all.narrow(0, head.first_class(), head.local_classes()).copy_(head.weight());
  communicator_->all_reduce(all)->wait_host();
  all = all.cpu();

  const std::uint64_t key = data::combine_key(42, data::key_of_name("head.centre"));
  for (std::int64_t c = 0; c < kClasses; ++c) {
    data::KeyedRandom random(data::combine_key(key, static_cast<std::uint64_t>(c)));
    for (std::int64_t d = 0; d < kDim; ++d)
      ASSERT_EQ(all[c][d].item<float>(), 0.01f * random.normal()) << "class " << c;
  }
  EXPECT_NEAR(all.mean().item<double>(), 0.0, 5e-4);
  EXPECT_NEAR(all.std().item<double>(), 0.01, 5e-4);
}

/// embeddings = x A: the simplest backbone there is. Its gradient is summed over ranks, as the
/// head's loss is a mean over the global batch.
TEST_F(ShardedHeadTest, TrainingOnAnyNumberOfRanksEqualsOneRank) {
  constexpr int kSteps = 5;
  constexpr double kRate = 0.05;
  auto problem = mixed_problem(20, 23, 16, 12);
  const auto inputs = problem.embeddings;
  const auto start = torch::eye(16) + 0.1 * torch::ones({16, 16});
  auto matrix = on_device(start).clone();
  HeadUnderTest head(problem, {}, *communicator_, Deal::kUneven);
  model::Sgd optimizer({matrix, head.head().weight()}, {});
  for (int step = 0; step < kSteps; ++step) {
    const auto own_inputs = on_device(head.own(inputs));
    const auto result = head.head().forward_backward(
        own_inputs.mm(matrix), on_device(head.own(problem.labels)), head.counts());
    matrix.mutable_grad() = own_inputs.t().mm(result.grad_embeddings);
    communicator_->all_reduce(matrix.grad())->wait_host();
    optimizer.step(kRate);
  }

  auto slow_matrix = start.to(torch::kDouble);
  auto slow_weight = problem.weight.to(torch::kDouble);
  auto matrix_momentum = torch::zeros_like(slow_matrix);
  auto weight_momentum = torch::zeros_like(slow_weight);
  for (int step = 0; step < kSteps; ++step) {
    const auto x = inputs.to(torch::kDouble);
    const auto slow = slow_head({x.mm(slow_matrix), problem.labels, slow_weight}, {});
    matrix_momentum = 0.9 * matrix_momentum + x.t().mm(slow.grad_embeddings) + 5e-4 * slow_matrix;
    weight_momentum = 0.9 * weight_momentum + slow.grad_weight + 5e-4 * slow_weight;
    slow_matrix = slow_matrix - kRate * matrix_momentum;
    slow_weight = slow_weight - kRate * weight_momentum;
  }
  EXPECT_TRUE(same_on_all_ranks(matrix, *communicator_));
  EXPECT_LE(distance(matrix, slow_matrix, largest(slow_matrix)), 1e-4);
  EXPECT_LE(distance(head.head().weight(), head.own_classes(slow_weight), largest(slow_weight)),
            1e-4);
}

}  // namespace
}  // namespace diffprob::tests

// Scores that are begun before those of the batch before are taken, on pretended devices.
#include <vector>

#include "tests/model/head_test_support.h"
#include "tests/support/fake_device.h"

namespace diffprob::tests {
namespace {

constexpr std::int64_t kRows = 30, kClasses = 41, kDim = 16;

HeadProblem random_problem(std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return {torch::randn({kRows, kDim}, generator),
          torch::randint(kClasses, {kRows}, generator, torch::kLong),
          torch::randn({kClasses, kDim}, generator)};
}

class PendingScoresTest : public ::testing::Test {
 protected:
  [[nodiscard]] model::PendingScores begin(const HeadProblem& problem) {
    return head_.head().begin_score(on_device(head_.own(problem.embeddings)),
                                    on_device(head_.own(problem.labels)), head_.counts(), margin_);
  }
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
  model::MarginOptions margin_;
  HeadUnderTest head_{random_problem(1), margin_, *communicator_, Deal::kUneven};
};

TEST_F(PendingScoresTest, AreThoseOfOneBatchAtATime) {
  std::vector<model::PendingScores> pending;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) pending.push_back(begin(random_problem(seed)));
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const model::HeadScores scores = pending[seed - 1].finish();
    head_.next_batch(random_problem(seed));
    const model::HeadScores wanted = head_.score(margin_);
    EXPECT_TRUE(torch::equal(scores.nll, wanted.nll));
    EXPECT_TRUE(torch::equal(scores.top1, wanted.top1));
    EXPECT_TRUE(torch::equal(scores.norm, wanted.norm));
  }
}

TEST_F(PendingScoresTest, ABatchComesInOneCopyAndItsLabelCheckInAnother) {
  for (int batch = 0; batch < 3; ++batch) {
    const HeadProblem problem = random_problem(7);
    const at::Tensor embeddings = on_device(head_.own(problem.embeddings));
    const at::Tensor labels = on_device(head_.own(problem.labels));
    const int before = copies_from_fake_devices();
    const auto pending = head_.head().begin_score(embeddings, labels, head_.counts(), margin_);
    EXPECT_EQ(copies_from_fake_devices() - before, 2);
    (void)pending.finish();
    EXPECT_EQ(copies_from_fake_devices() - before, 2);
  }
}

TEST_F(PendingScoresTest, ABadLabelShowsBeforeTheNumbersAreUsed) {
  HeadProblem problem = random_problem(7);
  problem.labels[3] = kClasses;
  const auto pending = begin(problem);
  EXPECT_THROW(head_.head().check_labels(), c10::Error);
  (void)begin(random_problem(8));
  head_.head().check_labels();
}

}  // namespace
}  // namespace diffprob::tests

// Every loss in the sharded head on W ranks against the same head on one: loss, gradients,
// probabilities and state over several steps.
#include <cstdio>

#include "tests/model/head_test_support.h"

namespace diffprob::tests {
namespace {

constexpr std::int64_t kRows = 45;
constexpr std::int64_t kClasses = 131;
constexpr std::int64_t kDim = 48;
constexpr double kAllowed = 2e-5;

HeadProblem random_batch(std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  HeadProblem problem;
  problem.labels = torch::randint(kClasses, {kRows}, generator, torch::kLong);
  // Centres are those of the first batch, so that all batches are near them.
  auto centre_generator = at::make_generator<at::CPUGeneratorImpl>(1000);
  problem.weight = torch::randn({kClasses, kDim}, centre_generator) * 0.01;
  const auto pull = torch::randn({kRows, 1}, generator) * 2.0;
  problem.embeddings = (torch::randn({kRows, kDim}, generator) +
                        pull * 100.0 * problem.weight.index_select(0, problem.labels)) *
                       4.0;
  return problem;
}

std::vector<model::MarginOptions> all_options() {
  std::vector<model::MarginOptions> all;
  for (const auto& name : model::margin_names()) {
    auto options = model::margin_defaults(model::margin_kind(name));
    options.curricular_momentum = 0.3;
    options.adaface_t_alpha = 0.5;
    options.m1 = 1.1;
    options.m2 = 0.3;
    options.m3 = 0.1;
    all.push_back(options);
    options.preset = model::LossPreset::kReference;
    options.filter_threshold = 0.3;
    all.push_back(options);
  }
  return all;
}

class MarginRanks : public ::testing::TestWithParam<model::MarginOptions> {
 protected:
  /// Largest over the ranks, so that rank 0 can print it.
  [[nodiscard]] double over_ranks(double value) {
    auto all = torch::full({1}, value,
                           torch::TensorOptions(communicator_->device()).dtype(torch::kDouble));
    communicator_->all_reduce(all, dist::ReduceOp::kMax)->wait_host();
    return all.item<double>();
  }
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
  std::unique_ptr<dist::Communicator> solo_ = make_solo_communicator();
};

TEST_P(MarginRanks, AgreeWithOneRank) {
  HeadUnderTest head(random_batch(1), GetParam(), *communicator_, Deal::kUneven);
  HeadUnderTest alone(random_batch(1), GetParam(), *solo_);
  double loss = 0, embedding = 0, weight = 0, probability = 0;
  for (std::uint64_t step = 1; step <= 3; ++step) {
    head.next_batch(random_batch(step));
    alone.next_batch(random_batch(step));

    const auto ours = head.step(step);
    const auto one = alone.step(step);

    EXPECT_TRUE(same_on_all_ranks(ours.loss, *communicator_));
    loss = std::max(loss, distance(ours.loss, one.loss, largest(one.loss)));
    embedding = std::max(embedding, distance(ours.grad_embeddings, head.own(one.grad_embeddings),
                                             largest(one.grad_embeddings)));
    const auto one_weight = alone.head().weight().grad();
    weight = std::max(weight, distance(head.head().weight().grad(), head.own_classes(one_weight),
                                       largest(one_weight)));
    probability = std::max(probability, distance(ours.probability, head.own(one.probability)));
    const auto state = head.head().margin().state();
    const auto one_state = alone.head().margin().state();
    for (std::size_t i = 0; i < state.size(); ++i) {
      EXPECT_TRUE(same_on_all_ranks(state[i].second, *communicator_)) << state[i].first;
      const double value = one_state[i].second.item<double>();
      EXPECT_NEAR(state[i].second.item<double>(), value, 1e-6 * std::max(1.0, std::abs(value)))
          << state[i].first;
    }
    // The problem is one where margins matter: not solved, not saturated.
    EXPECT_GT(largest(one.loss), 0.1);
  }
  const double worst[] = {over_ranks(loss), over_ranks(embedding), over_ranks(weight),
                          over_ranks(probability)};
  if (communicator_->rank() == 0) {
    std::printf(
        "[ ranks    ] W=%d %-22s%-10s loss %.1e embedding %.1e weight %.1e probability %.1e\n",
        communicator_->world_size(), model::margin_name(GetParam().kind).c_str(),
        GetParam().preset == model::LossPreset::kReference ? " reference" : "", worst[0], worst[1],
        worst[2], worst[3]);
  }
  for (const double difference : worst) EXPECT_LE(difference, kAllowed);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, MarginRanks, ::testing::ValuesIn(all_options()), [](const auto& entry) {
      return model::margin_name(entry.param.kind) +
             (entry.param.preset == model::LossPreset::kReference ? "_reference" : "");
    });

}  // namespace
}  // namespace diffprob::tests

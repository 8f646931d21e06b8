// Whole training steps against train_steps.h5 and transformer_steps.h5: backbone, sharded head,
// clipping and optimiser together, then the scores of the trained model. Network, head, sizes and
// rates come from the file; tolerances follow the rounding that it shows.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "model/margin/elastic.h"
#include "model/networks/backbone.h"
#include "model/optim/adamw.h"
#include "model/optim/gradient_clip.h"
#include "model/optim/sgd.h"
#include "model/weights/weights.h"
#include "tests/model/golden_losses.h"
#include "tests/model/golden_network.h"

namespace diffprob::tests {
namespace {

/// One run of the file, replayed. Attributes are those of the run, else of the root.
class Replay {
 public:
  Replay(const Golden& golden, std::string run, dist::Communicator& communicator)
      : golden_(golden),
        run_(std::move(run)),
        seed_(static_cast<std::uint64_t>(attribute("seed"))),
        batch_(attribute("batch")),
        classes_(attribute("classes")),
        dim_(golden.shape(run_ + "/kernel")[0]),
        margin_(golden_margin(golden, home_of("s"), golden.text(home_of("head"), "head"))),
        backbone_(model::make_backbone({.name = golden.text(home_of("model"), "model"),
                                        .embedding_dim = dim_,
                                        .dropout = 0.0,
                                        .seed = 1,
                                        .drop_path = 0.0,
                                        .mask_ratio = 0.0})),
        head_({.num_classes = classes_,
               .embedding_dim = dim_,
               .margin = released(margin_),
               .seed = 1},
              communicator) {
    fill_network(*backbone_, seed_);
    backbone_->to(communicator.device());
    const auto kernel = hashed_tensor(seed_, 1000200, {dim_, classes_}) / 64;
    head_.weight().copy_(kernel.t());
  }

  [[nodiscard]] std::int64_t steps() const { return attribute("steps"); }
  [[nodiscard]] torch::Tensor images(std::int64_t step) const {
    return hashed_tensor(seed_, static_cast<std::uint64_t>(1000000 + step), {batch_, 3, 112, 112});
  }
  [[nodiscard]] torch::Tensor labels(std::int64_t step) const {
    auto labels = torch::empty({batch_}, torch::kLong);
    for (std::int64_t i = 0; i < batch_; ++i) {
      const double u = hash_uniform(seed_, static_cast<std::uint64_t>(1000100 + step),
                                    static_cast<std::uint64_t>(i));
      labels[i] = static_cast<std::int64_t>(u * static_cast<double>(classes_));
    }
    return labels;
  }
  [[nodiscard]] model::ShardedHead& head() { return head_; }
  [[nodiscard]] const model::MarginOptions& margin() const { return margin_; }
  /// Floating entries of the state dict, each with its place in it.
  [[nodiscard]] std::vector<std::pair<std::int64_t, torch::Tensor>> state() const {
    std::vector<std::pair<std::int64_t, torch::Tensor>> state;
    const auto entries = model::state_dict(*backbone_);
    for (std::size_t k = 0; k < entries.size(); ++k) {
      if (entries[k].second.is_floating_point())
        state.emplace_back(static_cast<std::int64_t>(k), entries[k].second);
    }
    return state;
  }

  /// Fills loss, grad_norm, head_grad_norm and train_prob, one row a step.
  void train() {
    std::vector<torch::Tensor> trained;
    for (const auto& parameter : backbone_->parameters()) {
      if (parameter.requires_grad()) trained.push_back(parameter);
    }
    const auto optimizer = make_optimizer(trained),
               head_optimizer = make_optimizer({head_.weight()});
    backbone_->train();
    for (std::int64_t step = 0; step < steps(); ++step) {
      for (auto& parameter : trained) parameter.mutable_grad().reset();
      const auto embeddings = backbone_->forward(on_device(images(step)));
      give_drawn_margins(step);
      const auto result = head_.forward_backward(embeddings, on_device(labels(step)), {batch_});
      embeddings.backward(result.grad_embeddings);
      loss.push_back(result.loss.item<double>());
      const auto gradient =
          model::gradient_norm(model::gradients_of(trained), {number("clip", 5.0), {}});
      grad_norm.push_back(gradient.norm.item<double>());
      head_grad_norm.push_back(head_.weight().grad().norm().item<double>());
      train_prob.push_back(result.probability.cpu());
      const double rate = golden_.number(home_of("lr"), "lr");
      optimizer->step({rate, gradient.finite, {}, gradient.divisor});
      head_optimizer->step(rate);
    }
  }

  /// Scores of all batches in order, concatenated: with margin and without.
  [[nodiscard]] std::pair<model::HeadScores, model::HeadScores> score() {
    const torch::NoGradGuard no_grad;
    backbone_->eval();
    std::vector<torch::Tensor> embeddings;
    std::vector<torch::Tensor> all_labels;
    for (std::int64_t step = 0; step < steps(); ++step) {
      embeddings.push_back(backbone_->forward(on_device(images(step))));
      all_labels.push_back(on_device(labels(step)));
    }
    eval_embedding = embeddings.front();
    const auto rows = torch::cat(embeddings);
    model::MarginOptions none = margin_;
    none.kind = model::MarginKind::kNone;
    return {on_host(head_.score(rows, torch::cat(all_labels), {rows.size(0)}, margin_)),
            on_host(head_.score(rows, torch::cat(all_labels), {rows.size(0)}, none))};
  }

  std::vector<double> loss, grad_norm, head_grad_norm;
  std::vector<torch::Tensor> train_prob;
  torch::Tensor eval_embedding;

 private:
  [[nodiscard]] std::string home_of(const std::string& name) const {
    return golden_.has_attribute(run_, name) ? run_ : "/";
  }
  [[nodiscard]] double number(const std::string& name, double fallback) const {
    return golden_.number_or(home_of(name), name, fallback);
  }
  [[nodiscard]] std::int64_t attribute(const std::string& name) const {
    return static_cast<std::int64_t>(golden_.number(home_of(name), name));
  }
  /// SGD, or what the attribute "optimizer" says.
  [[nodiscard]] std::unique_ptr<model::Optimizer> make_optimizer(
      const std::vector<torch::Tensor>& parameters) const {
    const std::string home = home_of("optimizer");
    if (golden_.has_attribute(home, "optimizer") && golden_.text(home, "optimizer") == "adamw") {
      model::AdamWOptions options;
      options.epsilon = number("epsilon", options.epsilon);
      options.weight_decay = number("weight_decay", options.weight_decay);
      return std::make_unique<model::AdamW>(parameters, options);
    }
    return std::make_unique<model::Sgd>(
        parameters, model::SgdOptions{.momentum = number("momentum", 0.9),
                                      .weight_decay = number("weight_decay", 5e-4)});
  }
  static model::MarginOptions released(model::MarginOptions options) {
    options.preset = model::LossPreset::kReference;
    return options;
  }
  /// Elastic heads take what the reference drew, margin_drawn [steps, B].
  void give_drawn_margins(std::int64_t step) {
    auto* elastic = dynamic_cast<model::ElasticMargin*>(&head_.margin());
    if (elastic != nullptr)
      elastic->set_margins(
          golden_tensor64(golden_, run_ + "/margin_drawn")[step].reshape({batch_}));
  }

  const Golden& golden_;
  std::string run_;
  std::uint64_t seed_;
  std::int64_t batch_;
  std::int64_t classes_;
  std::int64_t dim_;
  model::MarginOptions margin_;
  std::shared_ptr<model::Backbone> backbone_;
  model::ShardedHead head_;
};

/// A run of a file.
struct GoldenRun {
  std::string file, name;
};

std::vector<std::string> runs_of(const std::string& file) {
  return Golden(file).names("/");
}

std::vector<GoldenRun> all_runs() {
  std::vector<GoldenRun> runs;
  for (const std::string file : {"train_steps.h5", "transformer_steps.h5"}) {
    for (const std::string& name : runs_of(file)) runs.push_back({file, name});
  }
  return runs;
}

/// Relative tolerances: scalars of a step and norms to each value, tensors to the largest element.
struct Tolerances {
  double loss, grad_norm, head_grad_norm, train_prob, state, kernel, embedding, probability;
};
/// What the golden README asks of float32 in the first step, in a run whose rounding stays small,
/// and in one at whose rate it grows without bound, for files that do not show their rounding. Of
/// the last it names loss and kernel only; the others are ten times as wide.
constexpr Tolerances kFirstStep = {1e-5, 1e-3, 1e-3, 1e-3, 0, 0, 0, 0};
constexpr Tolerances kPublished = {1e-5, 2e-3, 2e-3, 1e-3, 1e-5, 1e-4, 1e-3, 1e-3};
constexpr Tolerances kPublishedChaotic = {2e-2, 0.2, 0.2, 0.5, 2e-2, 2e-2, 0.2, 0.5};
constexpr double kChaoticRate = 0.01;
/// A run whose norms of weights may differ by more has a rounding that grew from step to step.
constexpr double kGrown = 1e-3;
/// Added to the rounding that the file shows; on a GPU, whose convolutions round in other ways,
/// what the README asks is added.
constexpr Tolerances kFloor = {1e-5, 2e-4, 1e-4, 2e-4, 1e-6, 2e-5, 5e-5, 2e-4};

class TrainSteps : public ::testing::TestWithParam<GoldenRun> {
 protected:
  [[nodiscard]] std::string path(const std::string& leaf) const { return run_ + "/" + leaf; }
  [[nodiscard]] torch::Tensor wanted(const std::string& leaf) const {
    return torch::tensor(golden_.reference(path(leaf)), torch::kDouble)
        .reshape(golden_.shape(path(leaf)));
  }
  void SetUp() override { tolerances_ = tolerances(); }
  void expect_inputs(const Replay& replay);
  [[nodiscard]] Tolerances tolerances() const;
  [[nodiscard]] double first_step_tolerance(const std::string& leaf,
                                            double Tolerances::*which) const;
  void expect_scalars(const std::vector<double>& ours, const std::string& leaf,
                      double Tolerances::*which);
  void expect_near(const torch::Tensor& ours, const std::string& leaf, double allowed);
  void expect_steps(Replay& replay);
  void expect_state(Replay& replay);
  void expect_scores(Replay& replay);

  const std::string run_ = GetParam().name;
  Golden golden_{GetParam().file};
  Tolerances tolerances_ = {};
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
};

void TrainSteps::expect_inputs(const Replay& replay) {
  ASSERT_GT(replay.steps(), 0);
  ASSERT_EQ(golden_.shape(path("loss")), std::vector<std::int64_t>{replay.steps()});
  const auto sums = golden_tensor64(golden_, path("image_sum"));
  std::vector<torch::Tensor> labels;
  for (std::int64_t step = 0; step < replay.steps(); ++step) {
    ASSERT_NEAR(replay.images(step).to(torch::kDouble).sum().item<double>(),
                sums[step].item<double>(), 1e-6)
        << "images of step " << step;
    labels.push_back(replay.labels(step));
  }
  ASSERT_TRUE(torch::equal(torch::cat(labels), golden_ids(golden_, path("label"))));
}

Tolerances TrainSteps::tolerances() const {
  const bool chaotic =
      golden_.number_or(run_, "lr", golden_.number_or("/", "lr", 0)) > kChaoticRate;
  const Tolerances& published = chaotic ? kPublishedChaotic : kPublished;
  const auto within = [&](const std::string& leaf, std::vector<double> rounding,
                          double Tolerances::*which) {
    return float32_tolerance(std::move(rounding),
                             (test_device().is_cuda() ? kPublished : kFloor).*which,
                             published.*which, path(leaf));
  };
  const auto relative = [&](const char* leaf) { return golden_.relative_rounding(path(leaf)); };
  const double state =
      within("state_l2", golden_.elementwise_rounding(path("state_l2")), &Tolerances::state);
  const double kernel = within("kernel", relative("kernel"), &Tolerances::kernel);
  // The four or so values of a scalar show less of a rounding that grows from step to step than the
  // weights after the last step.
  const double least = state > kGrown ? std::max(state, kernel) : state;
  const auto scalar = [&](const char* leaf, double Tolerances::*which) {
    auto rounding = golden_.elementwise_rounding(path(leaf));
    if (rounding.size() < 2) return published.*which;
    if (state > kGrown)
      rounding.back() = 0;  // many times that of the step before: no contradiction
    return std::max(within(leaf, rounding, which), least);
  };
  Tolerances within_run = {
      .loss = scalar("loss", &Tolerances::loss),
      .grad_norm = scalar("grad_norm", &Tolerances::grad_norm),
      .head_grad_norm = scalar("head_grad_norm", &Tolerances::head_grad_norm),
      .train_prob = 0,
      .state = state,
      .kernel = kernel,
      .embedding = within("eval_embedding", relative("eval_embedding"), &Tolerances::embedding),
      .probability =
          within("prob_no_margin", relative("prob_no_margin"), &Tolerances::probability)};
  auto prob_rounding = relative("train_prob");
  // One probability may be far above all others; it moves as much, relatively, as its logarithm
  // does.
  const double largest_nll = -std::log(largest(wanted("train_prob")));
  if (state > kGrown && !prob_rounding.empty())
    *std::max_element(prob_rounding.begin(), prob_rounding.end()) = 0;
  within_run.train_prob = std::max(within("train_prob", prob_rounding, &Tolerances::train_prob),
                                   state > kGrown ? least * largest_nll : 0);
  return within_run;
}

/// The first step has seen no update, so the rounding of every run is an example of it.
double TrainSteps::first_step_tolerance(const std::string& leaf, double Tolerances::*which) const {
  std::vector<double> rounding;
  for (const auto& run : runs_of(GetParam().file)) {
    const auto of_run = golden_.elementwise_rounding(run + "/" + leaf);
    if (!of_run.empty()) rounding.push_back(of_run.front());
  }
  return float32_tolerance(rounding, (test_device().is_cuda() ? kFirstStep : kFloor).*which,
                           kFirstStep.*which, leaf + " of the first steps");
}

void TrainSteps::expect_scalars(const std::vector<double>& ours, const std::string& leaf,
                                double Tolerances::*which) {
  const auto expected = golden_.reference(path(leaf));
  ASSERT_EQ(ours.size(), expected.size()) << leaf;
  const double first = first_step_tolerance(leaf, which);
  const double later = tolerances_.*which;
  for (std::size_t step = 0; step < ours.size(); ++step) {
    const double allowed = step == 0 ? first : std::max(first, later);
    const double error = std::abs(ours[step] / expected[step] - 1);
    std::printf("  %s of step %zu: relative error %.1e (allowed %.1e)\n", leaf.c_str(), step, error,
                allowed);
    EXPECT_LE(error, allowed) << leaf << " of step " << step;
  }
}

void TrainSteps::expect_near(const torch::Tensor& ours, const std::string& leaf, double allowed) {
  const auto expected = wanted(leaf);
  ASSERT_EQ(ours.sizes(), expected.sizes()) << leaf;
  const double error = distance(ours, expected, largest(expected));
  std::printf("  %s: relative error %.1e (allowed %.1e)\n", leaf.c_str(), error, allowed);
  EXPECT_LE(error, allowed) << leaf;
}

void TrainSteps::expect_steps(Replay& replay) {
  expect_scalars(replay.loss, "loss", &Tolerances::loss);
  expect_scalars(replay.grad_norm, "grad_norm", &Tolerances::grad_norm);
  expect_scalars(replay.head_grad_norm, "head_grad_norm", &Tolerances::head_grad_norm);
  expect_near(torch::stack(replay.train_prob), "train_prob", tolerances_.train_prob);
}

void TrainSteps::expect_state(Replay& replay) {
  const auto l2 = golden_.reference(path("state_l2"));
  const auto k = golden_.integers(path("state_k"));
  const auto state = replay.state();
  ASSERT_EQ(state.size(), l2.size());
  ASSERT_EQ(state.size(), k.size());
  double worst = 0;
  for (std::size_t i = 0; i < l2.size(); ++i) {
    ASSERT_EQ(state[i].first, k[i]);
    const double error =
        std::abs(state[i].second.to(torch::kDouble).norm().item<double>() - l2[i]) /
        std::max(l2[i], 1e-30);
    EXPECT_LE(error, tolerances_.state) << "norm of state entry " << k[i];
    worst = std::max(worst, error);
  }
  std::printf("  state_l2: relative error %.1e (allowed %.1e)\n", worst, tolerances_.state);
  expect_near(replay.head().weight().t().cpu(), "kernel", tolerances_.kernel);
}

void TrainSteps::expect_scores(Replay& replay) {
  const auto [with_margin, margin_free] = replay.score();
  expect_near(replay.eval_embedding.cpu(), "eval_embedding", tolerances_.embedding);
  const double allowed = tolerances_.probability;
  expect_near(margin_free.probability, "prob_no_margin", allowed);
  // Classes within the tolerance of each other may change places.
  const auto gap = margin_free.top1_log_prob.exp() - margin_free.second_log_prob.exp();
  const auto clear = gap > 2 * allowed;
  const auto predicted = golden_ids(golden_, path("predicted"));
  std::printf("  predicted: %ld of %ld classes are clear\n",
              static_cast<long>(clear.sum().item<std::int64_t>()),
              static_cast<long>(clear.size(0)));
  EXPECT_TRUE(torch::equal(margin_free.top1.masked_select(clear), predicted.masked_select(clear)));
  using enum model::MarginKind;
  const auto kind = replay.margin().kind;
  if (kind == kCosFace || kind == kArcFace || kind == kCombined || kind == kNone) {
    const auto p_rounding = golden_.relative_rounding(path("prob_margin"));
    expect_near(with_margin.probability, "prob_margin",
                std::max(allowed, float32_tolerance(p_rounding, kFloor.probability, allowed,
                                                    path("prob_margin"))));
  } else {
    print_skipped(path("prob_margin"), "the reference draws margins or changes the state of " +
                                           model::margin_name(kind) + " when it scores");
  }
}

TEST_P(TrainSteps, AgreeWithTheReference) {
  if (!golden_.has_float64(path("loss")))
    print_skipped(run_ + " in float64",
                  "the set has a float32 run only, which is compared as its README says");
  Replay replay(golden_, run_, *communicator_);
  expect_inputs(replay);
  if (HasFatalFailure()) return;

  replay.train();

  expect_steps(replay);
  expect_state(replay);
  expect_scores(replay);
}

TEST(TrainStepsSet, HasRuns) {
  for (const char* file : {"train_steps.h5", "transformer_steps.h5"})
    EXPECT_FALSE(runs_of(file).empty()) << file << " has no run";
}

INSTANTIATE_TEST_SUITE_P(Runs, TrainSteps, ::testing::ValuesIn(all_runs()), [](const auto& entry) {
  return entry.param.file.substr(0, entry.param.file.find('.')) + "_" + entry.param.name;
});

}  // namespace
}  // namespace diffprob::tests

// The head in chunks of classes, with deferred and fused updates, against a replicated one in
// float64 and against itself.
#include <cmath>
#include <cstdio>
#include <map>

#include <gmock/gmock.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/functional/normalization.h>

#include "model/softmax/chunk_softmax.h"
#include "tests/model/head_scale_support.h"

namespace diffprob::tests {
namespace {

using model::CentreGradients;
using ::testing::HasSubstr;

/// Chunk size in classes, and how many chunks the buffer holds.
struct Layout {
  std::int64_t chunk;
  std::int64_t slots;
};
std::vector<Layout> layouts(std::int64_t classes) {
  return {{1, 1}, {1, 3}, {7, 1}, {7, 2}, {classes, 1}, {5, classes}};
}

model::HeadOptions chunked(const Layout& layout, std::int64_t rows,
                           model::MarginOptions margin = {}) {
  model::HeadOptions options;
  options.margin = margin;
  options.chunk_classes = layout.chunk;
  options.max_buffer_bytes = layout.chunk * layout.slots * rows * 4;
  return options;
}

/// By autograd in float64: CosFace whose cosines to other classes above a threshold count as 0.
SlowHead slow_filtered_head(const HeadProblem& problem, const model::MarginOptions& margin) {
  namespace F = torch::nn::functional;
  const auto e = problem.embeddings.to(torch::kDouble).detach().clone().set_requires_grad(true);
  const auto w = problem.weight.to(torch::kDouble).detach().clone().set_requires_grad(true);
  const auto cosines = F::normalize(e, F::NormalizeFuncOptions().dim(1))
                           .mm(F::normalize(w, F::NormalizeFuncOptions().dim(1)).t())
                           .clamp(-1, 1);
  const auto own = torch::one_hot(problem.labels, problem.weight.size(0)).to(torch::kBool);
  const auto filtered = torch::logical_and(cosines > margin.filter_threshold, own.logical_not());
  const auto logits =
      margin.scale * (cosines.masked_fill(filtered, 0.0) - margin.margin * own.to(torch::kDouble));
  const auto loss = F::cross_entropy(logits, problem.labels);
  loss.backward();
  return {loss.detach(), e.grad(), w.grad(), logits.softmax(1).masked_select(own).detach(),
          cosines.detach()};
}

class HeadChunkedTest : public ::testing::Test {
 protected:
  void expect_slow(const HeadProblem& problem, const SlowHead& slow, ScaledHead& head,
                   const model::HeadStep& step, const torch::Tensor& centre_gradient) {
    note("loss", distance(step.loss, slow.loss, largest(slow.loss)), 1e-5);
    note("probability", distance(step.probability, head.own(slow.probability)), 5e-5);
    note("grad_embeddings",
         distance(step.grad_embeddings, head.own(slow.grad_embeddings),
                  largest(slow.grad_embeddings)),
         2e-5);
    note("grad_centres",
         distance(centre_gradient, head.own_classes(slow.grad_weight), largest(slow.grad_weight)),
         2e-5);
    EXPECT_TRUE(torch::equal(step.correct, head.own(slow.cosines.argmax(1) == problem.labels)));
    EXPECT_TRUE(same_on_all_ranks(step.loss, *communicator_));
  }
  void note(const std::string& what, double difference, double limit) {
    EXPECT_LE(difference, limit) << what;
    worst_[what] = std::max(worst_[what], difference);
  }
  void print_worst(const char* name) {
    if (communicator_->rank() != 0) return;
    for (const auto& [what, difference] : worst_) {
      std::printf("%s: W = %d: largest relative difference of %s: %.2e\n", name,
                  communicator_->world_size(), what.c_str(), difference);
    }
  }
  std::map<std::string, double> worst_;
  std::unique_ptr<dist::Communicator> communicator_ = make_test_communicator();
};

TEST_F(HeadChunkedTest, AnyChunksEqualReplicatedHead) {
  struct Sizes {
    std::int64_t rows, classes, dim;
  };
  std::uint64_t seed = 50;
  for (const auto& [rows, classes, dim] :
       {Sizes{24, 50, 32}, {7, 13, 5}, {5, 3, 8}, {40, 257, 64}}) {
    const auto problem = mixed_problem(rows, classes, dim, seed++);
    const model::MarginOptions margin;
    const auto slow = slow_head(problem, margin);
    for (const auto& layout : layouts(classes)) {
      SCOPED_TRACE(c10::str(rows, " rows, ", classes, " classes, chunks of ", layout.chunk, ", ",
                            layout.slots, " kept"));
      ScaledHead head(problem, chunked(layout, rows, margin), *communicator_);
      const auto step = head.step();
      expect_slow(problem, slow, head, step, head.head().weight().grad());
    }
  }
  print_worst("chunked head");
}

TEST_F(HeadChunkedTest, MarginsThatChangeOtherClassesToo) {
  model::MarginOptions margin;
  margin.filter_threshold = 0.1;
  const auto problem = mixed_problem(24, 61, 16, 71);
  const auto slow = slow_filtered_head(problem, margin);
  ASSERT_GT((slow.cosines > 0.1).sum().item<std::int64_t>(), 100);
  for (const auto& layout : layouts(61)) {
    SCOPED_TRACE(c10::str("chunks of ", layout.chunk, ", ", layout.slots, " kept"));
    ScaledHead head(problem, chunked(layout, 24, margin), *communicator_);
    const auto step = head.step();
    expect_slow(problem, slow, head, step, head.head().weight().grad());
  }
  print_worst("chunked head with filtering");
}

TEST_F(HeadChunkedTest, CurricularFaceIsTheSameForAnyChunks) {
  const auto problem = mixed_problem(24, 61, 16, 72);
  const auto margin = model::margin_defaults(model::MarginKind::kCurricularFace);
  ScaledHead whole(problem, chunked({61, 1}, 24, margin), *communicator_);
  ScaledHead parts(problem, chunked({7, 1}, 24, margin), *communicator_);
  for (int i = 0; i < 3; ++i) {
    const auto a = whole.step();
    const auto b = parts.step();
    EXPECT_LE(distance(b.loss, a.loss, largest(a.loss)), 1e-5);
    EXPECT_LE(distance(b.grad_embeddings, a.grad_embeddings, largest(a.grad_embeddings)), 2e-5);
    EXPECT_LE(distance(parts.head().weight().grad(), whole.head().weight().grad(),
                       largest(whole.head().weight().grad())),
              2e-5);
  }
}

TEST_F(HeadChunkedTest, DeferredGradientIsTheWrittenOneAndComesOnce) {
  const auto problem = mixed_problem(24, 50, 32, 81);
  for (const auto& layout : layouts(50)) {
    ScaledHead head(problem, chunked(layout, 24), *communicator_);
    (void)head.step();
    KeptGradients kept(head.head().weight());

    (void)head.step({.centre_gradients = CentreGradients::kDefer});
    head.head().apply(kept);

    EXPECT_TRUE(torch::equal(kept.whole, head.head().weight().grad().cpu()));
    EXPECT_TRUE((kept.times == 1).all().item<bool>());
    EXPECT_THROW(head.head().apply(kept), c10::Error);
  }
}

TEST_F(HeadChunkedTest, MicroBatchesAddUpToTheWholeBatch) {
  const auto problem = mixed_problem(24, 50, 32, 82);
  const auto slow = slow_head(problem, {});
  for (const auto& layout : layouts(50)) {
    SCOPED_TRACE(c10::str("chunks of ", layout.chunk, ", ", layout.slots, " kept"));
    ScaledHead head(problem, chunked(layout, 8), *communicator_);
    KeptGradients kept(head.head().weight());
    for (const auto where : {CentreGradients::kAccumulate, CentreGradients::kDefer}) {
      for (std::int64_t begin = 0; begin < 24; begin += 8) {
        const auto rows = problem.embeddings.narrow(0, begin, 8);
        const auto result = head.step(rows, problem.labels.narrow(0, begin, 8),
                                      {.weight = 1.0 / 3, .centre_gradients = where});
        const auto wanted = head.own(slow.grad_embeddings.narrow(0, begin, 8));
        EXPECT_LE(distance(result.grad_embeddings, wanted, largest(slow.grad_embeddings)), 2e-5);
      }
    }
    head.head().apply(kept);
    const auto wanted = head.own_classes(slow.grad_weight);
    EXPECT_LE(distance(head.head().weight().grad(), wanted, largest(slow.grad_weight)), 2e-5);
    EXPECT_LE(distance(kept.whole, wanted, largest(slow.grad_weight)), 2e-5);
  }
}

TEST_F(HeadChunkedTest, LossScaleMultipliesEmbeddingGradientsAlone) {
  ScaledHead head(mixed_problem(12, 30, 16, 83), {}, *communicator_);
  const auto plain = head.step();
  const auto centres = head.head().weight().grad().clone();

  const auto scaled = head.step({.loss_scale = torch::tensor(1024.0f)});

  EXPECT_TRUE(torch::equal(scaled.grad_embeddings, plain.grad_embeddings * 1024));
  EXPECT_TRUE(torch::equal(scaled.loss, plain.loss));
  EXPECT_TRUE(torch::equal(head.head().weight().grad(), centres));
}

TEST_F(HeadChunkedTest, FusedSgdTrainsAsSgdOverTheWholeGradient) {
  const auto problem = mixed_problem(20, 41, 33, 84);
  for (const bool nesterov : {false, true}) {
    ScaledHead whole(problem, {}, *communicator_);
    ScaledHead fused(problem, chunked({7, 2}, 20), *communicator_);
    auto w = whole.head().weight();
    auto v = torch::zeros_like(w);
    model::HeadSgd fused_sgd(fused.head().weight(), fused.head().first_class(),
                             {.nesterov = nesterov});
    for (std::uint64_t i = 0; i < 4; ++i) {
      (void)whole.step();
      const auto pull = w.grad() + 5e-4 * w;
      v = 0.9 * v + pull;
      w.sub_(0.05 * (nesterov ? pull + 0.9 * v : v));
      (void)fused.step({.centre_gradients = CentreGradients::kDefer});
      fused_sgd.begin_step({0.05, {}}, i);
      fused.head().apply(fused_sgd);
    }
    EXPECT_LE(distance(fused.head().weight(), w, largest(w)), 2e-5);
    EXPECT_LE(distance(fused_sgd.momentum(), v, largest(v)), 2e-5);
    EXPECT_GT(distance(w, whole.own_classes(problem.weight), largest(problem.weight)),
              w.size(0) > 0 ? 1e-3 : -1.0);
  }
}

TEST_F(HeadChunkedTest, SkippedStepChangesNoBit) {
  ScaledHead head(mixed_problem(20, 41, 33, 85), chunked({7, 2}, 20), *communicator_);
  model::HeadSgd sgd(head.head().weight(), head.head().first_class(), {});
  const auto train = [&](const torch::Tensor& apply, std::uint64_t step) {
    (void)head.step({.centre_gradients = CentreGradients::kDefer});
    sgd.begin_step({0.05, apply}, step);
    head.head().apply(sgd);
  };
  train(on_device(torch::tensor(1.0f)), 0);
  const auto weight = head.head().weight().clone();
  const auto momentum = sgd.momentum().clone();
  ASSERT_FALSE(weight.size(0) > 0 && torch::equal(momentum, torch::zeros_like(momentum)));

  train(on_device(torch::tensor(0.0f)), 1);

  EXPECT_TRUE(torch::equal(head.head().weight(), weight));
  EXPECT_TRUE(torch::equal(sgd.momentum(), momentum));
}

TEST_F(HeadChunkedTest, Bfloat16CentresComputeInFloat32) {
  auto problem = mixed_problem(24, 50, 32, 86);
  problem.weight = problem.weight.to(torch::kBFloat16).to(torch::kFloat);
  const auto slow = slow_head(problem, {});
  auto options = chunked({7, 2}, 24);
  options.storage = at::kBFloat16;
  ScaledHead head(problem, options, *communicator_);
  KeptGradients kept(head.head().weight());
  EXPECT_THROW((void)head.step(), c10::Error);

  const auto step = head.step({.centre_gradients = CentreGradients::kDefer});
  head.head().apply(kept);

  expect_slow(problem, slow, head, step, kept.whole);
  const auto counts = deal_rows(24, Deal::kUneven, communicator_->world_size());
  const auto scores =
      head.head().score(head.own(problem.embeddings), head.own(problem.labels), counts, {});
  EXPECT_LE(distance(scores.probability, head.own(slow.probability)), 5e-5);
}

TEST_F(HeadChunkedTest, Bfloat16TrainingStaysNearFloat32) {
  const auto problem = mixed_problem(20, 41, 32, 87);
  auto narrow_options = chunked({7, 2}, 20);
  narrow_options.storage = at::kBFloat16;
  ScaledHead wide(problem, {}, *communicator_);
  ScaledHead narrow(problem, narrow_options, *communicator_);
  model::HeadSgd wide_sgd(wide.head().weight(), wide.head().first_class(), {});
  model::HeadSgd narrow_sgd(narrow.head().weight(), narrow.head().first_class(), {});
  double loss = 0;
  for (std::uint64_t i = 0; i < 30; ++i) {
    const auto a = wide.step({.centre_gradients = CentreGradients::kDefer});
    const auto b = narrow.step({.centre_gradients = CentreGradients::kDefer});
    if (i == 0) loss = a.loss.item<double>();
    if (i == 29) {
      ASSERT_GT(loss, a.loss.item<double>());
      EXPECT_NEAR(b.loss.item<double>(), a.loss.item<double>(),
                  0.02 * (loss - a.loss.item<double>()));
    }
    wide_sgd.begin_step({1e-3, {}}, i);
    narrow_sgd.begin_step({1e-3, {}}, i);
    wide.head().apply(wide_sgd);
    narrow.head().apply(narrow_sgd);
  }
}

/// With rounding to nearest, 200 steps of 1/1000 of a weight would change nothing.
TEST_F(HeadChunkedTest, SmallUpdatesOfBfloat16RowsAreNotLost) {
  const auto weight = on_device(torch::ones({16, 256}, torch::kBFloat16));
  model::HeadSgd sgd(weight, 0, {.momentum = 0.0, .weight_decay = 0.0});
  for (std::uint64_t i = 0; i < 200; ++i) {
    sgd.begin_step({1.0, {}}, i);
    sgd.update_rows({0, {}, torch::full({16, 256}, 1e-3, weight.options().dtype(torch::kFloat))});
  }
  EXPECT_NEAR(weight.to(torch::kDouble).mean().item<double>(), 0.8, 2e-3);
}

/// Of a captured step, which a GPU's kernel alone makes: rate, and the step that keys the rounding.
TEST_F(HeadChunkedTest, NumbersOfAStepOnTheDeviceAreAsGoodAsThoseOfTheHost) {
  if (!test_device().is_cuda()) GTEST_SKIP() << "a GPU's kernel; emulated in model_emulated_head";
  for (const auto storage : {at::kFloat, at::kBFloat16}) {
    const auto ours = on_device(torch::randn({16, 256}).to(storage)), theirs = ours.clone();
    model::HeadSgd captured(ours, 40, {}), eager(theirs, 40, {});
    for (std::int64_t step = 0; step < 4; ++step) {
      const double rate = 0.1 / static_cast<double>(1 + step);
      const auto gradient = on_device(torch::randn({16, 256}));
      eager.begin_step({rate, {}}, static_cast<std::uint64_t>(step));
      eager.update_rows({0, {}, gradient.clone()});
      captured.begin_step({9.0, {}, on_device(torch::full({}, rate, torch::kFloat))}, 99,
                          on_device(torch::full({1}, step, torch::kLong)));
      captured.update_rows({0, {}, gradient});
      EXPECT_TRUE(torch::equal(ours, theirs)) << "step " << step;
      EXPECT_TRUE(torch::equal(captured.momentum(), eager.momentum())) << "step " << step;
    }
  }
}

TEST_F(HeadChunkedTest, StochasticRoundingIsTheSameEverywhereAndHasTheRightMean) {
  auto values = torch::randn({300, 37}) * 3;
  values[3][5] = INFINITY;
  values[4][6] = -INFINITY;
  values[5][7] = NAN;
  const auto ids = torch::arange(1000, 1300);

  const auto rounded = model::round_stochastically(values, ids, 7);

  const auto other = model::any_device::round_stochastically(values, ids, 7);
  EXPECT_TRUE(torch::equal(rounded.nan_to_num(9.0), other.nan_to_num(9.0)));
  EXPECT_EQ(rounded.isnan().sum().item<std::int64_t>(), 1);
  EXPECT_EQ(rounded[4][6].item<float>(), -INFINITY);
  EXPECT_TRUE(torch::equal(
      rounded.narrow(0, 100, 50),
      model::round_stochastically(values.narrow(0, 100, 50), ids.narrow(0, 100, 50), 7)));
  const auto between =
      torch::full({200, 500}, 1.0f + 0.25f / 128);  // a quarter of the way to the next bfloat16
  const auto mean = model::round_stochastically(between, torch::arange(200), 9)
                        .to(torch::kDouble)
                        .mean()
                        .item<double>();
  EXPECT_NEAR((mean - 1.0) * 128, 0.25, 0.01);
}

TEST_F(HeadChunkedTest, LoopsOfTheHostEqualThoseOfAnyDevice) {
  for (const auto& [classes, rows, begin] :
       {std::tuple{1, 1, 0}, std::tuple{70, 300, 40}, std::tuple{129, 67, 3}}) {
    const auto products = torch::randn({classes, rows}) * 0.4;
    const auto inverse = torch::rand({classes}) + 0.5;
    const model::TargetPositions own{torch::randint(begin + classes + 20, {rows}, torch::kLong),
                                     torch::rand({rows}) < 0.7};
    const model::TargetPositions sound{
        own.position,
        torch::logical_or(own.is_local, torch::logical_and(own.position > begin,
                                                           own.position < begin + classes))};
    const auto none = torch::full({rows}, -INFINITY);
    model::Chunk a{products.clone(), inverse, begin};
    model::Chunk b{products.clone(), inverse, begin};
    model::NonTargetMaxima a_maxima{none.clone(), none.clone()};
    model::NonTargetMaxima b_maxima{none.clone(), none.clone()};
    model::cosines_of_products(a, sound, a_maxima);
    model::any_device::cosines_of_products(b, sound, b_maxima);
    EXPECT_TRUE(torch::equal(a.values, b.values));
    // ATen keeps the side with the first of the largest, which is all that decides.
    EXPECT_TRUE(torch::equal(torch::maximum(a_maxima.below, a_maxima.above),
                             torch::maximum(b_maxima.below, b_maxima.above)));
    EXPECT_TRUE(torch::equal(a_maxima.below >= a_maxima.above, b_maxima.below >= b_maxima.above));

    const auto reference = torch::maximum(a_maxima.below, a_maxima.above).clamp_min(-1);
    const auto a_sums = torch::ones({rows}, torch::kDouble);
    const auto b_sums = torch::ones({rows}, torch::kDouble);
    model::exponentials_of_cosines(a, 64.0, reference, a_sums);
    model::any_device::exponentials_of_cosines(b, 64.0, reference, b_sums);
    EXPECT_LE(distance(a.values, b.values), 2e-6);
    EXPECT_LE(distance(a_sums, b_sums, largest(b_sums)), 1e-6);

    const auto factor = torch::rand({rows});
    model::Chunk c{products.clone(), inverse, begin};
    model::Chunk d{products.clone(), inverse, begin};
    const auto ones = torch::ones({rows});
    model::gradients_of_products(c, 64.0, ones, factor);
    model::any_device::gradients_of_products(d, 64.0, ones, factor);
    EXPECT_LE(distance(c.values, d.values), 2e-6);

    const auto centres = torch::randn({classes, 75});
    const auto inverse_norms = centres.norm(2, 1).reciprocal();
    const auto g = torch::randn({classes, 75});
    const auto h = g.clone();
    model::project_off_centres(g, centres, inverse_norms);
    model::any_device::project_off_centres(h, centres, inverse_norms);
    EXPECT_LE(distance(g, h), 1e-5);
    EXPECT_LE(largest((g * centres).sum(1)), 1e-4);
  }
}

/// On a GPU its kernels; on the host nothing to compare, the same loops serve.
TEST_F(HeadChunkedTest, ProductsBecomeExponentialsInOnePassAsInTwo) {
  if (!test_device().is_cuda())
    GTEST_SKIP() << "kernels of a GPU; their arithmetic on the host is head_threads_test";
  for (const auto& [classes, rows, begin] : {std::tuple{1, 1, 0}, std::tuple{70, 300, 40},
                                             std::tuple{5000, 67, 3}, std::tuple{40000, 256, 0}}) {
    const auto products = on_device(torch::randn({classes, rows}) * 0.4);
    const auto inverse = on_device(torch::rand({classes}) + 0.5);
    const auto position = torch::randint(begin + classes + 20, {rows}, torch::kLong);
    const auto inside = torch::logical_and(position > begin, position < begin + classes);
    const model::TargetPositions own{
        on_device(position), on_device(torch::logical_or(torch::rand({rows}) < 0.7, inside))};
    const auto none = torch::full({rows}, -INFINITY, products.options());
    model::Chunk a{products.clone(), inverse, begin};
    model::Chunk b{products.clone(), inverse, begin};
    model::NonTargetMaxima a_maxima{none.clone(), none.clone()};
    model::NonTargetMaxima b_maxima{none.clone(), none.clone()};
    ASSERT_TRUE(model::has_product_kernels(a.values));
    model::maxima_of_products(a, own, a_maxima);
    EXPECT_TRUE(torch::equal(a.values, products));
    model::any_device::cosines_of_products(b, own, b_maxima);
    EXPECT_TRUE(torch::equal(torch::maximum(a_maxima.below, a_maxima.above),
                             torch::maximum(b_maxima.below, b_maxima.above)));
    EXPECT_TRUE(torch::equal(a_maxima.below >= a_maxima.above, b_maxima.below >= b_maxima.above));

    const auto reference = torch::maximum(a_maxima.below, a_maxima.above).clamp_min(-1);
    const auto a_sums = torch::ones({rows}, none.options().dtype(torch::kDouble));
    const auto b_sums = a_sums.clone();
    model::exponentials_of_products(a, own, 64.0, reference, a_sums);
    model::any_device::exponentials_of_cosines(b, 64.0, reference, b_sums);
    EXPECT_LE(distance(a.values, b.values), 2e-6);
    EXPECT_LE(elementwise_distance(a_sums, b_sums, 0.0), 1e-5);
  }
}

TEST_F(HeadChunkedTest, WrongOptionsAreNamed) {
  const auto problem = mixed_problem(4, 9, 8, 88);
  const auto message = [&](model::HeadOptions options) -> std::string {
    try {
      ScaledHead head(problem, options, *communicator_);
    } catch (const c10::Error& error) {
      return error.what_without_backtrace();
    }
    return "no error";
  };
  model::HeadOptions options;
  options.sample_rate = -0.1;
  EXPECT_THAT(message(options), HasSubstr("sample rate must be in [0, 1], got -0.1"));
  options = {};
  options.max_buffer_bytes = 0;
  EXPECT_THAT(message(options), HasSubstr("got 0 bytes"));
  options = {};
  options.storage = at::kHalf;
  EXPECT_THAT(message(options), HasSubstr("got Half"));
}

}  // namespace
}  // namespace diffprob::tests

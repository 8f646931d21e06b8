// Against loops over the rows in float64.
#include "model/head/target_classes.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <limits>

#include "model/softmax/class_sampler.h"
#include "model/softmax/keyed_hash.h"
#include "tests/support/test_device.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kClasses = 60, kFirst = 20, kLocal = 25, kDim = 24;

struct Case {
  at::Tensor weight;  // [kLocal, kDim]
  at::Tensor labels;  // [B]
  at::Tensor x;       // [B, kDim], a view of longer rows
  [[nodiscard]] StepClasses all() const { return StepClasses::all(weight, kFirst, labels); }
};

Case on_device(const Case& c) {
  const at::Device device = tests::test_device();
  const at::Tensor long_rows = at::constant_pad_nd(c.x, {0, 4}).to(device);
  return {c.weight.to(device), c.labels.to(device), long_rows.narrow(1, 0, kDim)};
}

Case make_case(std::int64_t rows, at::ScalarType storage) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(std::uint64_t{9});
  Case c;
  c.weight = torch::randn({kLocal, kDim}, generator).to(storage);
  c.weight[3].zero_();
  c.labels = torch::randint(kClasses, {rows}, generator, torch::kLong);
  if (rows > 2) c.labels[2] = kFirst + 3;
  const at::Tensor long_rows = torch::randn({rows, kDim + 4}, generator);
  c.x = long_rows.div_(long_rows.norm(2, 1, true)).narrow(1, 0, kDim);
  return c;
}

bool is_here(const Case& c, std::int64_t row) {
  const auto label = c.labels[row].item<std::int64_t>();
  return label >= kFirst && label < kFirst + kLocal;
}

/// With the own kernel where there is a GPU, and without it.
void expect_equal_to_loops(const Case& c, const StepClasses& classes, bool target_kernel = true) {
  if (target_kernel) expect_equal_to_loops(c, classes, false);
  const Case there = on_device(c);
  const TargetClasses own(classes, there.x, target_kernel);
  const std::int64_t rows = c.labels.size(0);
  const at::Tensor slope = torch::rand({rows}) + 0.5;
  const at::Tensor before = torch::rand({rows, kDim});
  const at::Tensor device_gradients = before.clone().to(tests::test_device());
  own.add_gradients(device_gradients, slope.to(tests::test_device()));
  const at::Tensor gradients = device_gradients.cpu();
  const at::Tensor over = own.over_norms(slope.to(tests::test_device())).cpu();
  const at::Tensor cosine = own.cosine().cpu();
  for (std::int64_t b = 0; b < rows; ++b) {
    if (!is_here(c, b)) {
      EXPECT_EQ(cosine[b].item<double>(), -std::numeric_limits<double>::infinity()) << b;
      EXPECT_EQ(over[b].item<float>(), 0) << b;
      EXPECT_TRUE(torch::equal(gradients[b], before[b])) << b;
      continue;
    }
    const at::Tensor centre = c.weight[c.labels[b].item<std::int64_t>() - kFirst].to(at::kDouble);
    const double length = centre.norm().item<double>();
    const at::Tensor direction = length > 0 ? centre / length : centre;
    const at::Tensor e = c.x[b].to(at::kDouble);
    EXPECT_NEAR(cosine[b].item<double>(),
                (direction * e).sum().item<double>() / e.norm().item<double>(), 1e-14)
        << b;
    EXPECT_NEAR(over[b].item<double>(), length > 0 ? slope[b].item<double>() / length : 0.0, 1e-6)
        << b;
    EXPECT_LT((gradients[b] - before[b] - slope[b] * direction).abs().max().item<double>(), 1e-6)
        << b;
  }
}

TEST(TargetClasses, AreThoseOfASlowLoop) {
  for (const std::int64_t rows : {0, 1, 2, 50}) {
    for (const auto storage : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(c10::str(rows, " rows, ", storage));
      const Case c = make_case(rows, storage);
      expect_equal_to_loops(c, on_device(c).all());
    }
  }
}

TEST(TargetClasses, OfASample) {
  const Case c = make_case(50, at::kFloat);
  const auto count = sampled_count(0.9, c.labels, kFirst, kLocal);
  const Case there = on_device(c);
  const SampledClasses sample =
      sample_classes(there.labels, kFirst, kLocal, count, key_on(there.labels.device(), 7));
  expect_equal_to_loops(c, StepClasses::sampled(there.weight, kFirst, there.labels, sample));
}

TEST(TargetClasses, NothingOfOtherRanksIsRead) {
  Case c = make_case(50, at::kFloat);
  c.x = c.x.clone();
  for (std::int64_t b = 0; b < 50; ++b) {
    if (!is_here(c, b)) c.x[b].fill_(std::nan(""));
  }
  expect_equal_to_loops(c, on_device(c).all());
}

TEST(TargetClasses, OfAShardWithoutClasses) {
  const Case c = make_case(5, at::kFloat);
  const TargetClasses own(StepClasses::all(c.weight.narrow(0, 0, 0), kFirst, c.labels), c.x, false);
  const at::Tensor gradients = torch::ones({5, kDim});
  own.add_gradients(gradients, torch::ones({5}));
  EXPECT_TRUE(torch::equal(gradients, torch::ones({5, kDim})));
  EXPECT_TRUE(torch::isinf(own.cosine()).all().item<bool>());
  EXPECT_TRUE(torch::equal(own.over_norms(torch::ones({5})), torch::zeros({5})));
}

}  // namespace
}  // namespace diffprob::model

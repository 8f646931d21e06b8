// The kernels and launches of the GPU's head, run on the host (tests/support/simt), against the
// formulas in float64 and the host's own kernels.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "model/softmax/kernels.h"

#define gpu emulated_gpu  // symbols of their own: the library has those for a GPU
#include "model/softmax/gpu.cpp"

namespace diffprob::model {
namespace {

namespace kernels = emulated_gpu;

constexpr int kMultiprocessors = 3;

double distance(const at::Tensor& found, const at::Tensor& wanted) {
  return (found.to(at::kDouble) - wanted.to(at::kDouble)).abs().max().item<double>();
}

/// A chunk of classes 7 .. 306 of a shard, 150 samples; target classes are below it, in it, above
/// it and on other ranks.
struct Chunk {
  static constexpr std::int64_t kBegin = 7, kClasses = 300, kRows = 150;
  at::Tensor norms = at::rand({kClasses}) + 0.5;
  at::Tensor cosines = at::rand({kClasses, kRows}, at::kDouble) * 1.8 - 0.9;
  at::Tensor products = (cosines * norms.unsqueeze(1)).to(at::kFloat);
  at::Tensor inverse_norms = norms.reciprocal();
  at::Tensor target = at::randint(0, kBegin + kClasses + 9, {kRows}, at::kLong);
  at::Tensor is_local = at::rand({kRows}) < 0.7;
  [[nodiscard]] kernels::Products of(const at::Tensor& values) const {
    return {values.data_ptr<float>(),
            kClasses,
            kRows,
            kBegin,
            inverse_norms.const_data_ptr<float>(),
            target.const_data_ptr<std::int64_t>(),
            is_local.const_data_ptr<bool>()};
  }
  /// [classes, rows]: the class is the sample's own one.
  [[nodiscard]] at::Tensor is_target() const {
    const at::Tensor classes = at::arange(kBegin, kBegin + kClasses).unsqueeze(1);
    return classes.eq(target).logical_and(is_local);
  }
  [[nodiscard]] at::Tensor is_below() const {
    return at::arange(kBegin, kBegin + kClasses).unsqueeze(1).lt(target);
  }
};

TEST(HeadKernels, MaximaAndExponentials) {
  at::manual_seed(3);
  const Chunk c;
  const at::Tensor values = c.products.clone();
  const kernels::Products products = c.of(values);
  const int parts = kernels::class_parts(products, kMultiprocessors);
  ASSERT_GT(parts, 1);
  const at::Tensor below = at::full({parts, Chunk::kRows}, NAN), above = below.clone(),
                   sums = below.clone();
  kernels::non_target_maxima(products, parts, below.data_ptr<float>(), above.data_ptr<float>(),
                             nullptr);
  const at::Tensor none = at::full_like(c.cosines, -2.0);  // no cosine is so low
  const at::Tensor
      under =
          at::where(c.is_below().logical_and(c.is_target().logical_not()), c.cosines, none).amax(0),
      over = at::where(c.is_below().logical_or(c.is_target()), none, c.cosines).amax(0);
  EXPECT_LE(distance(below.amax(0).clamp_min(-2.0), under), 1e-6);
  EXPECT_LE(distance(above.amax(0).clamp_min(-2.0), over), 1e-6);

  constexpr float kScale = 16;
  const at::Tensor reference = at::rand({Chunk::kRows});
  kernels::exponentials(products, kScale, reference.const_data_ptr<float>(), parts,
                        sums.data_ptr<float>(), nullptr);
  const at::Tensor e =
      at::where(c.is_target(), 0.0, ((c.cosines - reference) * static_cast<double>(kScale)).exp());
  const at::Tensor total = e.sum(0);
  EXPECT_LE(((sums.to(at::kDouble).sum(0) - total) / total).abs().max().item<double>(), 1e-4);
  EXPECT_LE(distance(values, e * c.inverse_norms.unsqueeze(1)), 1e-4 * e.max().item<double>());
}

TEST(HeadKernels, OwnClasses) {
  at::manual_seed(4);
  constexpr std::int64_t kShard = 40, kSampled = 20, kRows = 21, kDim = 96, kStride = 100;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const bool sampled : {false, true}) {
      const at::Tensor weight = at::randn({kShard, kDim}).to(type);
      const at::Tensor classes = at::arange(0, 2 * kSampled, 2);
      const at::Tensor target = at::randint(0, sampled ? kSampled : kShard, {kRows}, at::kLong);
      const at::Tensor is_local = at::rand({kRows}) < 0.6;
      const at::Tensor x = at::randn({kRows, kStride});
      const kernels::TargetRows rows = {weight.const_data_ptr(),
                                        type == at::kBFloat16,
                                        sampled ? classes.const_data_ptr<std::int64_t>() : nullptr,
                                        target.const_data_ptr<std::int64_t>(),
                                        is_local.const_data_ptr<bool>(),
                                        kRows,
                                        static_cast<int>(kDim)};
      const at::Tensor cosine = at::full({kRows}, 9.0, at::kDouble),
                       inverse = at::full({kRows}, 9.0f), gradients = at::randn({kRows, kDim});
      const at::Tensor slope = at::randn({kRows}), before = gradients.to(at::kDouble);
      kernels::target_cosines(rows, x.const_data_ptr<float>(), kStride, cosine.data_ptr<double>(),
                              inverse.data_ptr<float>(), nullptr);
      kernels::add_target_gradients(rows, inverse.const_data_ptr<float>(),
                                    slope.const_data_ptr<float>(), gradients.data_ptr<float>(),
                                    nullptr);
      const at::Tensor own =
          weight.index_select(0, sampled ? classes.index_select(0, target) : target)
              .to(at::kDouble);
      const at::Tensor e = x.narrow(1, 0, kDim).to(at::kDouble);
      const at::Tensor unit = own / own.norm(2, 1, true);
      const at::Tensor nine = at::full({kRows}, 9.0, at::kDouble);
      EXPECT_LE(distance(cosine, at::where(is_local, (unit * e).sum(1) / e.norm(2, 1), nine)),
                1e-6);
      EXPECT_LE(distance(inverse, at::where(is_local, own.norm(2, 1).reciprocal(), nine)), 1e-6);
      const at::Tensor local = is_local.to(at::kDouble).unsqueeze(1);
      EXPECT_LE(distance(gradients, before + local * slope.unsqueeze(1) * unit), 1e-5);
    }
  }
}

struct Update {
  static constexpr std::int64_t kShard = 30, kCount = 19, kDim = 96, kFirstClass = 1000;
  explicit Update(at::ScalarType type)
      : weight(at::randn({kShard, kDim}).to(type)), momentum(at::randn({kShard, kDim}).to(type)) {}
  [[nodiscard]] kernels::HeadRows rows(std::uint64_t key, const at::Tensor& chosen) const {
    return {weight.mutable_data_ptr(),
            momentum.mutable_data_ptr(),
            weight.scalar_type() == at::kBFloat16,
            gradient.const_data_ptr<float>(),
            inverse_norms.const_data_ptr<float>(),
            chosen.defined() ? chosen.const_data_ptr<std::int64_t>() : nullptr,
            /*first=*/5,
            kCount,
            static_cast<int>(kDim),
            kFirstClass,
            key};
  }
  at::Tensor weight, momentum;
  at::Tensor gradient = at::randn({kCount, kDim});
  at::Tensor inverse_norms = at::rand({kCount}) * 0.1 + 0.05;
};
constexpr kernels::HeadSgdStep kStep = {0.05f, 0.9f, 5e-4f, true};

/// Rows that take no part keep every bit; the others move as the host moves them.
TEST(HeadKernels, UpdateMovesItsRows) {
  at::manual_seed(5);
  const at::Tensor chosen = at::arange(2, 2 + Update::kCount).add(at::arange(Update::kCount).ge(9));
  for (const bool sampled : {false, true}) {
    const Update update(at::kFloat);
    const at::Tensor indices = sampled ? chosen : at::arange(5, 5 + Update::kCount).to(at::kLong);
    at::Tensor weight = update.weight.clone(), momentum = update.momentum.clone();
    at::Tensor w = weight.index_select(0, indices), v = momentum.index_select(0, indices),
               g = update.gradient.clone();
    host::project(g.data_ptr<float>(), w.const_data_ptr<float>(),
                  update.inverse_norms.const_data_ptr<float>(), Update::kCount, Update::kDim);
    host::sgd(w.data_ptr<float>(), v.data_ptr<float>(), g.const_data_ptr<float>(), g.numel(),
              {kStep.rate, kStep.momentum, kStep.decay, kStep.nesterov});
    weight.index_copy_(0, indices, w);
    momentum.index_copy_(0, indices, v);
    const float skip = 0;
    const at::Tensor start = update.weight.clone();
    kernels::head_sgd(update.rows(1, sampled ? chosen : at::Tensor()), kStep,
                      {&skip, nullptr, nullptr}, nullptr);
    EXPECT_TRUE(at::equal(update.weight, start)) << "a skipped update changed weights";
    kernels::head_sgd(update.rows(1, sampled ? chosen : at::Tensor()), kStep, {}, nullptr);
    EXPECT_LE(distance(update.weight, weight), 1e-5);
    EXPECT_LE(distance(update.momentum, momentum), 1e-5);
    at::Tensor others = at::ones({Update::kShard}, at::kBool);
    others.index_fill_(0, indices, false);
    EXPECT_TRUE(at::equal(update.weight.index({others}), weight.index({others})));
  }
}

/// What a captured step reads from the device: rate, key of the rounding, whether to move at all.
TEST(HeadKernels, NumbersOnTheDeviceTakeThePlaceOfThoseOfTheHost) {
  at::manual_seed(6);
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Update a(type), start = a;
    Update b = a, other = a;
    for (Update* update : {&b, &other}) {
      update->weight = start.weight.clone();
      update->momentum = start.momentum.clone();
    }
    const std::int64_t key = 77, other_key = 78;
    const float rate = kStep.rate, one = 1;
    kernels::HeadSgdStep wrong = kStep;
    wrong.rate = 9;
    kernels::head_sgd(a.rows(77, {}), kStep, {}, nullptr);
    kernels::head_sgd(b.rows(5, {}), wrong, {&one, &rate, &key}, nullptr);
    kernels::head_sgd(other.rows(5, {}), wrong, {&one, &rate, &other_key}, nullptr);
    EXPECT_TRUE(at::equal(a.weight, b.weight));
    EXPECT_TRUE(at::equal(a.momentum, b.momentum));
    EXPECT_EQ(at::equal(a.weight, other.weight), type == at::kFloat);
    EXPECT_LE(distance(a.weight, other.weight), type == at::kFloat ? 0 : 0.04);
  }
}

/// Weights and momenta by words of their own, as HeadSgd rounds them on the host.
TEST(HeadKernels, RoundsAsTheHostDoes) {
  at::manual_seed(7);
  constexpr std::uint64_t kKey = 123;
  Update update(at::kBFloat16);
  update.gradient.zero_();
  const kernels::HeadSgdStep still = {0, 0.9f, 0, false};  // v = 0.9 v, w stays
  const at::Tensor v = (update.momentum.to(at::kFloat) * 0.9f).narrow(0, 5, Update::kCount);
  const at::Tensor ids =
      at::arange(Update::kFirstClass + 5, Update::kFirstClass + 5 + Update::kCount);
  std::vector<std::uint16_t> wanted(static_cast<std::size_t>(v.numel()));
  host::round_stochastically(v.contiguous().const_data_ptr<float>(),
                             ids.const_data_ptr<std::int64_t>(), Update::kCount, Update::kDim,
                             data::combine_key(kKey, 1), wanted.data());
  const at::Tensor weight = update.weight.clone();
  kernels::head_sgd(update.rows(kKey, {}), still, {}, nullptr);
  EXPECT_TRUE(at::equal(update.weight, weight));
  const auto* found =
      static_cast<const std::uint16_t*>(update.momentum.const_data_ptr()) + 5 * Update::kDim;
  for (std::size_t i = 0; i < wanted.size(); ++i) ASSERT_EQ(found[i], wanted[i]) << i;
}

}  // namespace
}  // namespace diffprob::model

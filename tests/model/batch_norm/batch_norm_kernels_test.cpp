// The kernels and launches of the GPU's batch norm, run on the host (tests/support/simt), against
// LibTorch's operators in float64: blocks, barriers, partial sums and what finishes them.
#include <gtest/gtest.h>
#include <torch/types.h>

#define gpu emulated_gpu  // symbols of their own: the library has those for a GPU
#include "model/batch_norm/gpu.cpp"

namespace diffprob::model {
namespace {

namespace kernels = emulated_gpu;

constexpr int kMultiprocessors = 3;
constexpr double kEps = 1e-5;

struct Problem {
  std::int64_t rows;
  int channels;
};
const std::vector<Problem> kProblems = {{700, 64}, {37, 8}, {90, 48}, {5, 512}, {60, 1024}};

template <class T>
constexpr kernels::Number kNumber = std::is_same_v<T, float>       ? kernels::Number::kFloat
                                    : std::is_same_v<T, c10::Half> ? kernels::Number::kHalf
                                                                   : kernels::Number::kBFloat16;

double distance(const at::Tensor& found, const at::Tensor& wanted) {
  const at::Tensor expected = wanted.to(at::kDouble);
  return ((found.to(at::kDouble) - expected).abs().max() / expected.abs().max().clamp_min(1))
      .item<double>();
}

template <class T>
struct Case {
  explicit Case(const Problem& problem)
      : rows{kNumber<T>, problem.rows, problem.channels}, type(c10::CppTypeToScalarType<T>::value) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
    const auto random = [&](at::IntArrayRef sizes) {
      return at::randn(sizes, generator, at::kFloat);
    };
    const std::vector<std::int64_t> sizes = {problem.rows, problem.channels};
    x = (random(sizes) * 1.5 + 0.7).to(type);
    grad = random(sizes).to(type);
    other = random(sizes).to(type);
    weight = random({problem.channels}) * 0.3 + 1;
    bias = random({problem.channels}) * 0.3;
    slope = random({problem.channels}) * 0.1 + 0.25;
    wide = x.to(at::kDouble);
    mean = wide.mean(0);
    inv_std = (wide.var(0, false) + kEps).rsqrt();
  }
  [[nodiscard]] kernels::ChannelArrays arrays(bool with_slope) const {
    return {mean.template const_data_ptr<double>(), inv_std.template const_data_ptr<double>(),
            weight.template const_data_ptr<float>(), bias.template const_data_ptr<float>(),
            with_slope ? slope.template const_data_ptr<float>() : nullptr};
  }
  [[nodiscard]] at::Tensor normalized() const { return (wide - mean) * inv_std * weight + bias; }
  [[nodiscard]] at::Tensor output(bool with_slope, bool with_residual) const {
    const at::Tensor z = normalized();
    const at::Tensor y = with_slope ? at::where(z > 0, z, z * slope) : z;
    return with_residual ? y + other.to(at::kDouble) : y;
  }
  [[nodiscard]] at::Tensor partials(int blocks, int quantities) const {
    return at::full({blocks, quantities, rows.channels}, NAN);
  }

  kernels::Rows rows;
  at::ScalarType type;
  at::Tensor x, grad, other, weight, bias, slope, wide, mean, inv_std;
};

template <class T>
class BatchNormKernels : public ::testing::Test {
 protected:
  static constexpr double kStored = std::is_same_v<T, float>       ? 3e-6
                                    : std::is_same_v<T, c10::Half> ? 1e-3
                                                                   : 8e-3;  // rounding of outputs
};
using Types = ::testing::Types<float, c10::Half, c10::BFloat16>;
TYPED_TEST_SUITE(BatchNormKernels, Types);

float* floats(const at::Tensor& tensor) {
  return tensor.data_ptr<float>();
}
double* doubles(const at::Tensor& tensor) {
  return tensor.data_ptr<double>();
}

TYPED_TEST(BatchNormKernels, StatisticsAndRunningOnes) {
  for (const Problem& problem : kProblems) {
    const Case<TypeParam> c(problem);
    const int blocks = kernels::moment_blocks(c.rows, kMultiprocessors);
    const at::Tensor partials = c.partials(blocks, 2);
    kernels::sum_shifted_moments(c.rows, c.x.const_data_ptr(), floats(partials), blocks, nullptr);
    const at::Tensor found = at::full({2, problem.channels}, NAN, at::kDouble);
    const at::Tensor running = at::ones({2, problem.channels}), lacks = c.bias;
    std::int64_t batches = 4;
    kernels::finish_moments(
        c.rows, c.x.const_data_ptr(), floats(partials), blocks,
        {doubles(found), nullptr, doubles(found) + problem.channels, kEps, floats(running),
         floats(running) + problem.channels, 0.1, &batches, floats(lacks)},
        nullptr);
    EXPECT_LE(distance(found[0], c.mean), 2e-6);
    EXPECT_LE(distance(found[1], c.inv_std), 1e-5);
    EXPECT_LE(distance(running[0], 0.9 + 0.1 * (c.mean + lacks)), 2e-6);
    EXPECT_LE(distance(running[1], 0.9 + 0.1 * c.wide.var(0, true)), 1e-5);
    EXPECT_EQ(batches, 5);
  }
}

TYPED_TEST(BatchNormKernels, OutputAndItsMoments) {
  for (const Problem& problem : kProblems) {
    const Case<TypeParam> c(problem);
    for (const int parts : {0, 1, 2, 3, 4, 5, 6, 7}) {
      const bool slope = (parts & 1) != 0, residual = (parts & 2) != 0, moments = (parts & 4) != 0;
      const int blocks =
          kernels::normalize_blocks(c.rows, {slope, residual, moments}, kMultiprocessors);
      const at::Tensor y = at::full_like(c.x, NAN), partials = c.partials(blocks, 2);
      kernels::normalize(c.rows,
                         {c.x.const_data_ptr(), nullptr,
                          residual ? c.other.const_data_ptr() : nullptr, y.data_ptr()},
                         c.arrays(slope), moments ? floats(partials) : nullptr, blocks, nullptr);
      EXPECT_LE(distance(y, c.output(slope, residual)), this->kStored) << parts;
      if (!moments) continue;
      const at::Tensor found = at::full({2, problem.channels}, NAN, at::kDouble);
      kernels::finish_moments(c.rows, y.const_data_ptr(), floats(partials), blocks,
                              {doubles(found), doubles(found) + problem.channels, nullptr, 0,
                               nullptr, nullptr, 0, nullptr, nullptr},
                              nullptr);
      const at::Tensor stored = y.to(at::kDouble);
      EXPECT_LE(distance(found[0], stored.mean(0)), 2e-6) << parts;
      EXPECT_LE(distance(found[1], stored.var(0, false) * static_cast<double>(problem.rows)), 1e-5)
          << parts;
    }
  }
}

TYPED_TEST(BatchNormKernels, GradientsOfTheParametersAndOfTheInput) {
  for (const Problem& problem : kProblems) {
    const Case<TypeParam> c(problem);
    const auto count = static_cast<double>(problem.rows);
    for (const bool slope : {false, true}) {
      const int blocks = kernels::gradient_blocks(c.rows, kMultiprocessors);
      const at::Tensor partials = c.partials(blocks, slope ? 3 : 2);
      kernels::sum_gradients(c.rows, {c.x.const_data_ptr(), c.grad.const_data_ptr()},
                             c.arrays(slope), floats(partials), blocks, nullptr);
      const at::Tensor sums = at::full({2, problem.channels}, NAN, at::kDouble);
      const at::Tensor found = at::full({3, problem.channels}, NAN);
      kernels::finish_gradient_sums(
          problem.channels, floats(partials), blocks, c.arrays(slope),
          {doubles(sums), floats(found[0]), floats(found[1]), slope ? floats(found[2]) : nullptr},
          nullptr);
      const at::Tensor z = c.normalized(), grad = c.grad.to(at::kDouble), away = c.wide - c.mean;
      const at::Tensor g = slope ? at::where(z > 0, grad, grad * c.slope) : grad;
      EXPECT_LE(distance(found[1], g.sum(0)), 1e-5);
      EXPECT_LE(distance(found[0], (g * away).sum(0) * c.inv_std), 1e-5);
      if (slope) {
        EXPECT_LE(distance(found[2], at::where(z > 0, 0.0, grad * z).sum(0)), 1e-5);
      }
      for (const bool residual : {false, true}) {
        for (const bool before : {false, true}) {
          if (before && slope) continue;
          const int wave =
              kernels::input_gradient_blocks(c.rows, {slope, residual, before}, kMultiprocessors);
          const at::Tensor grad_x = at::full_like(c.x, NAN), of_before = c.partials(wave, 2);
          const at::Tensor zero = at::zeros({problem.channels}, at::kDouble);
          kernels::input_gradients(
              c.rows,
              {c.x.const_data_ptr(), c.grad.const_data_ptr(),
               residual ? c.other.const_data_ptr() : nullptr, grad_x.data_ptr()},
              c.arrays(slope), {doubles(sums), count, nullptr},
              {before ? c.other.const_data_ptr() : nullptr, doubles(zero), floats(of_before)}, wave,
              nullptr);
          const at::Tensor scale = c.inv_std * c.weight;
          at::Tensor wanted =
              scale * (g - g.mean(0) - away * c.inv_std.square() * (g * away).mean(0));
          if (residual) wanted = wanted + c.other.to(at::kDouble);
          EXPECT_LE(distance(grad_x, wanted), this->kStored);
          if (!before) continue;
          const at::Tensor stored = grad_x.to(at::kDouble),
                           total = of_before.to(at::kDouble).sum(0);
          EXPECT_LE(distance(total[0], stored.sum(0)), 1e-5);
          EXPECT_LE(distance(total[1], (stored * c.other.to(at::kDouble)).sum(0)), 1e-5);
        }
      }
    }
  }
}

}  // namespace
}  // namespace diffprob::model

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
const std::vector<Problem> kProblems = {{2000, 64}, {37, 8},    {333, 48}, {5, 512},
                                        {900, 128}, {60, 1024}, {2, 16}};

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
  [[nodiscard]] at::Tensor gradient_of_normalized(bool with_slope) const {
    const at::Tensor g = grad.to(at::kDouble);
    return with_slope ? at::where(normalized() > 0, g, g * slope) : g;
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

/// The pass that writes a batch sums it up, as it is stored: the same bits are written.
TYPED_TEST(BatchNormKernels, OutputAndItsMoments) {
  for (const Problem& problem : kProblems) {
    const Case<TypeParam> c(problem);
    for (const bool slope : {false, true}) {
      for (const bool residual : {false, true}) {
        const auto write = [&](bool moments) {
          const int blocks =
              kernels::normalize_blocks(c.rows, {slope, residual, moments}, kMultiprocessors);
          const at::Tensor y = at::full_like(c.x, NAN);
          const at::Tensor partials = moments ? c.partials(blocks, 2) : at::Tensor();
          kernels::normalize(c.rows,
                             {c.x.const_data_ptr(), nullptr,
                              residual ? c.other.const_data_ptr() : nullptr, y.data_ptr()},
                             c.arrays(slope), moments ? floats(partials) : nullptr, blocks,
                             nullptr);
          return std::pair(y, partials);
        };
        const at::Tensor plain = write(false).first;
        EXPECT_LE(distance(plain, c.output(slope, residual)), this->kStored);
        const auto [y, partials] = write(true);
        EXPECT_TRUE(at::equal(y, plain));
        const at::Tensor found = at::full({2, problem.channels}, NAN, at::kDouble);
        kernels::finish_moments(c.rows, y.const_data_ptr(), floats(partials),
                                static_cast<int>(partials.size(0)),
                                {doubles(found), doubles(found) + problem.channels, nullptr, 0,
                                 nullptr, nullptr, 0, nullptr, nullptr},
                                nullptr);
        const at::Tensor stored = y.to(at::kDouble);
        EXPECT_LE(distance(found[0], stored.mean(0)), 2e-6);
        EXPECT_LE(distance(found[1], stored.var(0, false) * static_cast<double>(problem.rows)),
                  1e-5);
      }
    }
  }
}

TYPED_TEST(BatchNormKernels, GradientsOfTheParameters) {
  for (const Problem& problem : kProblems) {
    const Case<TypeParam> c(problem);
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
      const at::Tensor g = c.gradient_of_normalized(slope), z = c.normalized();
      EXPECT_LE(distance(found[1], g.sum(0)), 1e-5);
      EXPECT_LE(distance(found[0], (g * (c.wide - c.mean)).sum(0) * c.inv_std), 1e-5);
      if (slope) {
        const at::Tensor negative = at::where(z > 0, 0.0, c.grad.to(at::kDouble) * z);
        EXPECT_LE(distance(found[2], negative.sum(0)), 1e-5);
      }
    }
  }
}

/// How the statistics depend on x: not at all, by this rank's batch, or by those of three ranks
/// with the same batch.
enum class Statistics { kFrozen, kOwn, kShared };

template <class T>
at::Tensor wanted_input_gradient(const Case<T>& c, bool slope, Statistics statistics) {
  const at::Tensor g = c.gradient_of_normalized(slope), away = c.wide - c.mean,
                   scale = c.inv_std * c.weight;
  if (statistics == Statistics::kFrozen) return scale * g;
  return scale * (g - g.mean(0) - away * c.inv_std.square() * (g * away).mean(0));
}

/// With the layer before, the pass also sums up what it writes: the same bits are written.
TYPED_TEST(BatchNormKernels, GradientOfTheInput) {
  for (const Problem& problem : kProblems) {
    const Case<TypeParam> c(problem);
    const at::Tensor before = c.other * 0.5 + 3, mean = before.to(at::kDouble).mean(0);
    for (const bool slope : {false, true}) {
      const at::Tensor g = c.gradient_of_normalized(slope);
      for (const auto statistics : {Statistics::kFrozen, Statistics::kOwn, Statistics::kShared}) {
        const double ranks = statistics == Statistics::kShared ? 3 : 1;
        const double count = ranks * static_cast<double>(problem.rows);
        // The kernels took the mean as float32.
        const at::Tensor away = c.wide - c.mean.to(at::kFloat).to(at::kDouble);
        const at::Tensor sums = at::stack({g.sum(0), (g * away).sum(0)}) * ranks;
        const kernels::BatchSums batch = {
            statistics == Statistics::kFrozen ? nullptr : doubles(sums),
            statistics == Statistics::kShared ? NAN : count,
            statistics == Statistics::kShared ? &count : nullptr};
        for (const bool residual : {false, true}) {
          const auto write = [&](bool summing) {
            const int blocks = kernels::input_gradient_blocks(c.rows, {slope, residual, summing},
                                                              kMultiprocessors);
            const at::Tensor grad_x = at::full_like(c.x, NAN), partials = c.partials(blocks, 2);
            kernels::input_gradients(
                c.rows,
                {c.x.const_data_ptr(), c.grad.const_data_ptr(),
                 residual ? c.other.const_data_ptr() : nullptr, grad_x.data_ptr()},
                c.arrays(slope), batch,
                {summing ? before.const_data_ptr() : nullptr, doubles(mean), floats(partials)},
                blocks, nullptr);
            return std::pair(grad_x, partials.to(at::kDouble).sum(0));
          };
          const at::Tensor grad_x = write(false).first;
          at::Tensor wanted = wanted_input_gradient(c, slope, statistics);
          if (residual) wanted = wanted + c.other.to(at::kDouble);
          EXPECT_LE(distance(grad_x, wanted), 2 * this->kStored);
          if (slope) continue;
          const auto [again, found] = write(true);
          EXPECT_TRUE(at::equal(again, grad_x));
          const at::Tensor stored = again.to(at::kDouble);
          const at::Tensor from_mean = before.to(at::kDouble) - mean.to(at::kFloat);
          EXPECT_LE(distance(found[0], stored.sum(0)), 1e-5);
          EXPECT_LE(distance(found[1], (stored * from_mean).sum(0)), 1e-5);
        }
      }
    }
  }
}

}  // namespace
}  // namespace diffprob::model

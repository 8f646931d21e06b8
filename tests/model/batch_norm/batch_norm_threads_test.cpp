// The threads of the GPU's batch norm kernels, run one after the other on the host, against
// LibTorch's operators in float64: the same functions, the same deal of rows and channels, the same
// order of sums.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "model/batch_norm/threads.h"

namespace diffprob::model {
namespace {

using gpu::ChannelArrays;
using gpu::thread::ThreadLayout;

constexpr int kThreads = 256;

template <class T>
constexpr int kWidth = 16 / sizeof(T);

struct Problem {
  std::int64_t rows;
  int channels;
  int blocks;
};
const std::vector<Problem> kProblems = {{1000, 64, 7},   {37, 8, 3}, {333, 48, 2},  {5, 512, 1},
                                        {4096, 128, 16}, {2, 16, 1}, {900, 1024, 5}};

template <class T>
ThreadLayout layout_of(const Problem& problem) {
  const int lanes = problem.channels / kWidth<T>;
  return {problem.rows, problem.channels, lanes, kThreads / lanes, problem.blocks};
}

/// body(place) for every thread that has work; partial sums come in the order of blocks and
/// threads.
template <class T, class Body>
void for_threads(const ThreadLayout& layout, const Body& body) {
  for (int block = 0; block < layout.blocks; ++block) {
    for (int thread = 0; thread < kThreads; ++thread) {
      const auto place = gpu::thread::place_of<kWidth<T>>(layout, block, thread);
      if (place.channel >= 0) body(place);
    }
  }
}

template <class T>
struct Case {
  explicit Case(const Problem& problem) : layout(layout_of<T>(problem)) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
    const auto type = c10::CppTypeToScalarType<T>::value;
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
    mean = x.to(at::kDouble).mean(0);
    inv_std = (x.to(at::kDouble).var(0, false) + 1e-5).rsqrt();
  }
  [[nodiscard]] ChannelArrays arrays(bool with_slope) const {
    return {mean.const_data_ptr<double>(), inv_std.const_data_ptr<double>(),
            weight.const_data_ptr<float>(), bias.const_data_ptr<float>(),
            with_slope ? slope.const_data_ptr<float>() : nullptr};
  }
  /// BN's output, and what PReLU makes of it, in float64.
  [[nodiscard]] at::Tensor normalized() const {
    return (x.to(at::kDouble) - mean) * inv_std * weight + bias;
  }
  [[nodiscard]] at::Tensor activated() const {
    const at::Tensor z = normalized();
    return at::where(z > 0, z, z * slope);
  }
  [[nodiscard]] at::Tensor gradient_of_normalized(bool with_slope) const {
    const at::Tensor g = grad.to(at::kDouble);
    return with_slope ? at::where(normalized() > 0, g, g * slope) : g;
  }
  [[nodiscard]] const T* data(const at::Tensor& tensor) const { return tensor.const_data_ptr<T>(); }

  ThreadLayout layout;
  at::Tensor x, grad, other, weight, bias, slope, mean, inv_std;
};

/// Calls body with both as compile-time constants.
template <class Body>
void with_constants(bool first, bool second, const Body& body) {
  if (first) {
    second ? body(std::true_type{}, std::true_type{}) : body(std::true_type{}, std::false_type{});
  } else {
    second ? body(std::false_type{}, std::true_type{}) : body(std::false_type{}, std::false_type{});
  }
}

double distance(const at::Tensor& found, const at::Tensor& wanted) {
  const at::Tensor expected = wanted.to(at::kDouble);
  return ((found.to(at::kDouble) - expected).abs().max() / expected.abs().max().clamp_min(1e-3))
      .item<double>();
}

template <class T>
class BatchNormThreads : public ::testing::Test {
 protected:
  static constexpr double kStored = std::is_same_v<T, float>       ? 2e-6
                                    : std::is_same_v<T, c10::Half> ? 1e-3
                                                                   : 8e-3;  // rounding of outputs
};
using Types = ::testing::Types<float, c10::Half, c10::BFloat16>;
TYPED_TEST_SUITE(BatchNormThreads, Types);

TYPED_TEST(BatchNormThreads, MomentsOfTheBatch) {
  using T = TypeParam;
  for (const auto& problem : kProblems) {
    const Case<T> c(problem);
    const at::Tensor sums = at::zeros({2, problem.channels}, at::kDouble);
    for_threads<T>(c.layout, [&](const auto& place) {
      float own[2][kWidth<T>] = {};
      gpu::thread::add_shifted_moments<T, kWidth<T>>(c.data(c.x), place, own);
      for (int q = 0; q < 2; ++q) {
        for (int i = 0; i < kWidth<T>; ++i)
          sums.data_ptr<double>()[q * problem.channels + place.channel + i] += own[q][i];
      }
    });
    for (int channel = 0; channel < problem.channels; ++channel) {
      const auto moments = gpu::thread::moments_of_sums(
          sums[0][channel].item<double>(), sums[1][channel].item<double>(),
          c.x[0][channel].template item<double>(), static_cast<double>(problem.rows));
      const at::Tensor values = c.x.select(1, channel).to(at::kDouble);
      EXPECT_NEAR(moments.mean, values.mean().template item<double>(), 2e-6);
      const double m2 = (values - values.mean()).square().sum().template item<double>();
      EXPECT_NEAR(moments.m2, m2, 1e-5 * m2 + 1e-9);
    }
  }
}

TYPED_TEST(BatchNormThreads, ForwardWithPreluAndResidual) {
  using T = TypeParam;
  for (const auto& problem : kProblems) {
    const Case<T> c(problem);
    for (const bool with_slope : {false, true}) {
      for (const bool with_residual : {false, true}) {
        const at::Tensor y = at::full_like(c.x, NAN);
        for_threads<T>(c.layout, [&](const auto& place) {
          const auto channels =
              gpu::thread::channels_of<kWidth<T>>(c.arrays(with_slope), place.channel);
          const T* residual = with_residual ? c.data(c.other) : nullptr;
          float none[2][kWidth<T>] = {};
          with_constants(with_slope, with_residual, [&](auto slope, auto add) {
            gpu::thread::normalize<T, kWidth<T>, slope.value, add.value, false>(
                c.data(c.x), residual, channels, place, y.template data_ptr<T>(), none);
          });
        });
        at::Tensor wanted = with_slope ? c.activated() : c.normalized();
        if (with_residual) wanted = wanted + c.other.to(at::kDouble);
        EXPECT_LE(distance(y, wanted), this->kStored) << problem.rows << " x " << problem.channels;
      }
    }
  }
}

/// The pass that writes a batch sums it up: the same bits are written, and the sums are those of
/// the batch as it is stored.
TYPED_TEST(BatchNormThreads, ForwardWithMomentsOfTheOutput) {
  using T = TypeParam;
  for (const auto& problem : kProblems) {
    const Case<T> c(problem);
    for (const bool with_slope : {false, true}) {
      for (const bool with_residual : {false, true}) {
        const at::Tensor plain = at::full_like(c.x, NAN), y = at::full_like(c.x, NAN);
        const at::Tensor sums = at::zeros({2, problem.channels}, at::kDouble);
        for_threads<T>(c.layout, [&](const auto& place) {
          const auto channels =
              gpu::thread::channels_of<kWidth<T>>(c.arrays(with_slope), place.channel);
          const T* residual = with_residual ? c.data(c.other) : nullptr;
          float own[2][kWidth<T>] = {}, none[2][kWidth<T>] = {};
          with_constants(with_slope, with_residual, [&](auto slope, auto add) {
            gpu::thread::normalize<T, kWidth<T>, slope.value, add.value, false>(
                c.data(c.x), residual, channels, place, plain.template data_ptr<T>(), none);
            gpu::thread::normalize<T, kWidth<T>, slope.value, add.value, true>(
                c.data(c.x), residual, channels, place, y.template data_ptr<T>(), own);
          });
          for (int q = 0; q < 2; ++q) {
            for (int i = 0; i < kWidth<T>; ++i)
              sums.data_ptr<double>()[q * problem.channels + place.channel + i] += own[q][i];
          }
        });
        EXPECT_TRUE(at::equal(y, plain)) << problem.rows << " x " << problem.channels;
        const at::Tensor away = y.to(at::kDouble) - y[0].to(at::kDouble);
        const double size = std::sqrt(static_cast<double>(problem.rows));
        EXPECT_LE((sums[0] - away.sum(0)).abs().max().template item<double>(), 1e-5 * size * size);
        const at::Tensor squares = away.square().sum(0);
        EXPECT_LE(((sums[1] - squares).abs() - 1e-5 * squares).max().template item<double>(), 1e-9);
      }
    }
  }
}

TYPED_TEST(BatchNormThreads, BackwardSums) {
  using T = TypeParam;
  for (const auto& problem : kProblems) {
    const Case<T> c(problem);
    for (const bool with_slope : {false, true}) {
      const at::Tensor sums = at::zeros({3, problem.channels}, at::kDouble);
      for_threads<T>(c.layout, [&](const auto& place) {
        const auto channels =
            gpu::thread::channels_of<kWidth<T>>(c.arrays(with_slope), place.channel);
        with_constants(with_slope, false, [&](auto slope, auto) {
          constexpr int quantities = gpu::thread::gradient_quantities(slope.value);
          float own[quantities][kWidth<T>] = {};
          gpu::thread::add_gradient_sums<T, kWidth<T>, slope.value>(c.data(c.grad), c.data(c.x),
                                                                    channels, place, own);
          for (int q = 0; q < quantities; ++q) {
            for (int i = 0; i < kWidth<T>; ++i)
              sums.data_ptr<double>()[q * problem.channels + place.channel + i] += own[q][i];
          }
        });
      });
      const at::Tensor g = c.gradient_of_normalized(with_slope);
      const double size = std::sqrt(static_cast<double>(problem.rows));
      EXPECT_LE((sums[0] - g.sum(0)).abs().max().template item<double>(), 1e-5 * size);
      const at::Tensor away = c.x.to(at::kDouble) - c.mean.to(at::kFloat).to(at::kDouble);
      EXPECT_LE((sums[1] - (g * away).sum(0)).abs().max().template item<double>(), 1e-5 * size);
      const at::Tensor z = c.normalized();
      const at::Tensor slopes =
          at::where(z > 0, at::zeros_like(z), c.grad.to(at::kDouble) * z).sum(0);
      EXPECT_LE((sums[2] - (with_slope ? slopes : at::zeros_like(slopes)))
                    .abs()
                    .max()
                    .template item<double>(),
                1e-5 * size);
    }
  }
}

TYPED_TEST(BatchNormThreads, InputGradients) {
  using T = TypeParam;
  for (const auto& problem : kProblems) {
    const Case<T> c(problem);
    for (const bool with_slope : {false, true}) {
      for (const bool with_extra : {false, true}) {
        const at::Tensor g = c.gradient_of_normalized(with_slope);
        const at::Tensor away = c.x.to(at::kDouble) - c.mean;
        const at::Tensor sum = g.sum(0), product = (g * away).sum(0), scale = c.inv_std * c.weight;
        const auto count = static_cast<double>(problem.rows);
        const at::Tensor grad_x = at::full_like(c.x, NAN), again = at::full_like(c.x, NAN);
        const at::Tensor before = c.other * 0.5 + 3;  // input of the layer before
        const at::Tensor before_mean = before.to(at::kDouble).mean(0).to(at::kFloat);
        const at::Tensor before_sums = at::zeros({2, problem.channels}, at::kDouble);
        for_threads<T>(c.layout, [&](const auto& place) {
          auto channels = gpu::thread::channels_of<kWidth<T>>(c.arrays(with_slope), place.channel);
          for (int i = 0; i < kWidth<T>; ++i) {
            const auto at = static_cast<std::int64_t>(place.channel + i);
            const auto terms = gpu::thread::statistics_gradient(
                sum[at].template item<double>(), product[at].template item<double>(),
                scale[at].template item<double>(), c.inv_std[at].template item<double>(), count);
            channels.constant[i] = terms.constant;
            channels.factor[i] = terms.factor;
          }
          const T* extra = with_extra ? c.data(c.other) : nullptr;
          with_constants(with_slope, with_extra, [&](auto slope, auto add) {
            gpu::thread::LayerBefore<T, kWidth<T>> layer{c.data(before), {}};
            for (int i = 0; i < kWidth<T>; ++i)
              layer.mean[i] = before_mean.const_data_ptr<float>()[place.channel + i];
            float own[2][kWidth<T>] = {}, none[2][kWidth<T>] = {};
            gpu::thread::input_gradients<T, kWidth<T>, slope.value, add.value, false>(
                c.data(c.grad), c.data(c.x), extra, channels, place, grad_x.template data_ptr<T>(),
                layer, none);
            gpu::thread::input_gradients<T, kWidth<T>, slope.value, add.value, true>(
                c.data(c.grad), c.data(c.x), extra, channels, place, again.template data_ptr<T>(),
                layer, own);
            for (int q = 0; q < 2; ++q) {
              for (int i = 0; i < kWidth<T>; ++i)
                before_sums.data_ptr<double>()[q * problem.channels + place.channel + i] +=
                    own[q][i];
            }
          });
        });
        EXPECT_TRUE(at::equal(again, grad_x));
        const at::Tensor stored = again.to(at::kDouble);
        const at::Tensor products = stored * (before.to(at::kDouble) - before_mean);
        const double most = 2e-6 * static_cast<double>(problem.rows);
        EXPECT_LE((before_sums[0] - stored.sum(0)).abs().max().template item<double>(),
                  most * std::max(1.0, stored.abs().max().template item<double>()));
        EXPECT_LE((before_sums[1] - products.sum(0)).abs().max().template item<double>(),
                  most * std::max(1.0, products.abs().max().template item<double>()));
        at::Tensor wanted = scale * (g - sum / count - away * c.inv_std.square() * product / count);
        if (with_extra) wanted = wanted + c.other.to(at::kDouble);
        EXPECT_LE((grad_x.to(at::kDouble) - wanted).abs().max().template item<double>(),
                  2 * this->kStored * std::max(1.0, wanted.abs().max().template item<double>()))
            << problem.rows << " x " << problem.channels;
      }
    }
  }
}

}  // namespace
}  // namespace diffprob::model

// The kernels and launches of a folded batch norm, run on the host (tests/support/simt), against
// the passes by LibTorch's operators in float64.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <set>

#include "model/folded_norm/ops.h"

#define gpu emulated_gpu  // symbols of their own: the library has those for a GPU
#include "model/folded_norm/gpu.cpp"

namespace diffprob::model {
namespace {

namespace kernels = emulated_gpu;
using kernels::thread::kTaps;
using kernels::thread::Pictures;

constexpr int kMultiprocessors = 3;

const std::vector<Pictures> kPictures = {{3, 6, 5, 16}, {2, 2, 2, 8},   {4, 1, 6, 8},
                                         {4, 5, 1, 24}, {6, 1, 1, 512}, {9, 14, 14, 64}};

template <class T>
constexpr kernels::Number kNumber = std::is_same_v<T, float>       ? kernels::Number::kFloat
                                    : std::is_same_v<T, c10::Half> ? kernels::Number::kHalf
                                                                   : kernels::Number::kBFloat16;

at::Tensor random(at::IntArrayRef sizes, std::uint64_t seed) {
  return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(seed), at::kFloat);
}
at::Tensor channels_last(const at::Tensor& x) {
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}
double distance(const at::Tensor& found, const at::Tensor& wanted) {
  return (found.to(at::kDouble) - wanted.to(at::kDouble)).abs().max().item<double>();
}

TEST(BorderOfPictures, EachPixelOnceWithItsCode) {
  for (const Pictures& pictures : kPictures) {
    std::set<std::pair<int, int>> found;
    for (int i = 0; i < kernels::thread::border_pixels(pictures); ++i) {
      const auto pixel = kernels::thread::border_pixel(pictures, i);
      EXPECT_TRUE(found.emplace(pixel.row, pixel.column).second);
      EXPECT_NE(kernels::thread::border_code(pictures, pixel), 0);
    }
    for (int row = 0; row < pictures.rows; ++row) {
      for (int column = 0; column < pictures.columns; ++column) {
        const int code = kernels::thread::border_code(pictures, {row, column});
        EXPECT_EQ(found.contains({row, column}), code != 0) << row << ' ' << column;
        for (int tap = 0; tap < kernels::thread::kTaps; ++tap) {
          const int r = row + tap / 3 - 1, c = column + tap % 3 - 1;
          const bool outside = r < 0 || r >= pictures.rows || c < 0 || c >= pictures.columns;
          EXPECT_EQ(kernels::thread::is_outside(tap, code), outside);
        }
      }
    }
  }
}

struct Norm {
  explicit Norm(std::int64_t channels)
      : weight(random({channels}, 1) * 0.3 + 1),
        bias(random({channels}, 2) * 0.3),
        statistics{.mean = random({channels}, 3).to(at::kDouble),
                   .inv_std = random({channels}, 4).to(at::kDouble).abs() + 0.5,
                   .shared_count = {}} {}
  [[nodiscard]] kernels::ChannelArrays arrays() const {
    return {statistics.mean.const_data_ptr<double>(), statistics.inv_std.const_data_ptr<double>(),
            weight.const_data_ptr<float>(), bias.const_data_ptr<float>(), nullptr};
  }
  [[nodiscard]] BatchAffine affine() const { return {weight, bias, {}}; }
  at::Tensor weight, bias;
  BatchStatistics statistics;
};

template <class T>
class FoldedNormKernels : public ::testing::Test {
 protected:
  static constexpr auto kType = c10::CppTypeToScalarType<T>::value;
  static constexpr double kStored = std::is_same_v<T, float>       ? 3e-6
                                    : std::is_same_v<T, c10::Half> ? 5e-3
                                                                   : 4e-2;  // rounding of outputs
};
using Types = ::testing::Types<float, c10::Half, c10::BFloat16>;
TYPED_TEST_SUITE(FoldedNormKernels, Types);

TYPED_TEST(FoldedNormKernels, FoldedWeights) {
  constexpr int kOutputs = 24;
  for (const int channels : {8, 24, 128, 512, 1024}) {
    const Norm norm(channels);
    const at::Tensor weight = channels_last(random({kOutputs, channels, 3, 3}, 6) * 0.2);
    const at::Tensor folded = at::full_like(weight, NAN, weight.options().dtype(this->kType));
    const at::Tensor border = at::full({kernels::thread::kBorderCodes, kOutputs}, NAN),
                     constant = at::full({kOutputs}, NAN);
    kernels::fold({weight.const_data_ptr<float>(), kOutputs, channels}, norm.arrays(),
                  kNumber<TypeParam>, folded.data_ptr(), border.data_ptr<float>(),
                  constant.data_ptr<float>(), nullptr);
    const FoldedWeight wanted = fold(weight, norm.affine(), norm.statistics, at::kDouble);
    EXPECT_LE(distance(folded, wanted.weight), this->kStored);
    EXPECT_LE(distance(border, wanted.border), 1e-4);
    EXPECT_LE(distance(constant, wanted.constant), 1e-4);
  }
}

TYPED_TEST(FoldedNormKernels, BordersAndSumsInside) {
  for (const Pictures& pictures : kPictures) {
    const at::Tensor border = random({kernels::thread::kBorderCodes, pictures.channels}, 7);
    border[0].zero_();  // of a pixel in the middle
    const at::Tensor y = channels_last(
        random({pictures.count, pictures.channels, pictures.rows, pictures.columns}, 5)
            .to(this->kType));
    const int blocks = kernels::side_blocks(pictures, kNumber<TypeParam>, kMultiprocessors);
    const at::Tensor partials = at::full({4, blocks, 3, pictures.channels}, NAN),
                     inside = at::full({pictures.channels, kTaps}, NAN);
    kernels::sums_inside(pictures, kNumber<TypeParam>, y.const_data_ptr(),
                         partials.data_ptr<float>(), blocks, inside.data_ptr<float>(), nullptr);
    EXPECT_LE(distance(inside, sums_inside(y.to(at::kDouble))), 1e-4);
    const at::Tensor wanted = y.to(at::kDouble);
    add_border(wanted, border.to(at::kDouble));
    kernels::add_border(pictures, kNumber<TypeParam>, border.const_data_ptr<float>(), y.data_ptr(),
                        nullptr);
    EXPECT_LE(distance(y, wanted), this->kStored) << pictures.rows << " x " << pictures.columns;
  }
}

TYPED_TEST(FoldedNormKernels, GradientsOfTheWeightAndSumsOfTheBatchNorm) {
  constexpr int kOutputs = 16;
  for (const int channels : {8, 24, 128, 512, 1024}) {
    const Norm norm(channels);
    const at::Tensor weight = channels_last(random({kOutputs, channels, 3, 3}, 6) * 0.2);
    const at::Tensor with_x =
        channels_last(random({kOutputs, channels, 3, 3}, 9) * 0.2).to(this->kType);
    const at::Tensor inside = random({kOutputs, kTaps}, 8), gradient = at::full_like(weight, NAN);
    const kernels::FoldWeight from = {weight.const_data_ptr<float>(), kOutputs, channels};
    const int blocks = kernels::weight_gradient_blocks(from, kMultiprocessors);
    const at::Tensor partials = at::full({blocks, 2, channels}, NAN);
    kernels::weight_gradients(
        from, {kNumber<TypeParam>, with_x.const_data_ptr(), inside.const_data_ptr<float>()},
        norm.arrays(), gradient.data_ptr<float>(), partials.data_ptr<float>(), blocks, nullptr);
    const at::Tensor wanted = at::empty_like(weight, weight.options().dtype(at::kDouble));
    const BatchGradientSums of_norm =
        folded_gradients({with_x.to(at::kDouble), inside}, weight.to(at::kDouble), wanted,
                         norm.affine(), norm.statistics);
    EXPECT_LE(distance(gradient, wanted), 1e-5);
    EXPECT_LE(distance(partials.to(at::kDouble).sum(0), of_norm.sums), 1e-4);
  }
}

}  // namespace
}  // namespace diffprob::model

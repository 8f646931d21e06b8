// The threads of the GPU's kernels of a folded batch norm, run one after the other on the host,
// against LibTorch's operators in float64.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <set>

#include "model/folded_norm/ops.h"
#include "model/folded_norm/threads.h"

namespace diffprob::model {
namespace {

using gpu::ChannelArrays;
using gpu::thread::Pictures;
using gpu::thread::Side;
using gpu::thread::ThreadLayout;

constexpr int kThreads = 256;

template <class T>
constexpr int kWidth = 16 / sizeof(T);

const std::vector<Pictures> kPictures = {{3, 6, 5, 16}, {2, 2, 2, 8},   {4, 1, 6, 8},
                                         {4, 5, 1, 24}, {6, 1, 1, 512}, {2, 14, 14, 64}};

/// Calls body(place) for every thread that has work.
template <int width, class Body>
void for_threads(const ThreadLayout& layout, const Body& body) {
  for (int block = 0; block < layout.blocks; ++block) {
    for (int thread = 0; thread < kThreads; ++thread) {
      const auto place = gpu::thread::place_of<width>(layout, block, thread);
      if (place.channel >= 0) body(place);
    }
  }
}

at::Tensor random(at::IntArrayRef sizes, std::uint64_t seed) {
  return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(seed), at::kFloat);
}

/// A channels-last batch, and the operators' view of it in float64.
at::Tensor batch_of(const Pictures& pictures, at::ScalarType type) {
  return random({pictures.count, pictures.channels, pictures.rows, pictures.columns}, 5)
      .to(type)
      .contiguous(at::MemoryFormat::ChannelsLast);
}

double distance(const at::Tensor& found, const at::Tensor& wanted) {
  return (found.to(at::kDouble) - wanted.to(at::kDouble)).abs().max().item<double>();
}

template <class T>
class FoldedNormThreads : public ::testing::Test {
 protected:
  static constexpr auto kType = c10::CppTypeToScalarType<T>::value;
  static constexpr double kStored = std::is_same_v<T, float>       ? 3e-6
                                    : std::is_same_v<T, c10::Half> ? 5e-3
                                                                   : 4e-2;  // rounding of outputs
};
using Types = ::testing::Types<float, c10::Half, c10::BFloat16>;
TYPED_TEST_SUITE(FoldedNormThreads, Types);

TEST(BorderOfPictures, EachPixelOnceWithItsCode) {
  for (const Pictures& pictures : kPictures) {
    std::set<std::pair<int, int>> found;
    for (int i = 0; i < gpu::thread::border_pixels(pictures); ++i) {
      const auto pixel = gpu::thread::border_pixel(pictures, i);
      EXPECT_TRUE(found.emplace(pixel.row, pixel.column).second);
      EXPECT_NE(gpu::thread::border_code(pictures, pixel), 0);
    }
    for (int row = 0; row < pictures.rows; ++row) {
      for (int column = 0; column < pictures.columns; ++column) {
        const int code = gpu::thread::border_code(pictures, {row, column});
        EXPECT_EQ(found.contains({row, column}), code != 0) << row << ' ' << column;
        for (int tap = 0; tap < gpu::thread::kTaps; ++tap) {
          const int r = row + tap / 3 - 1, c = column + tap % 3 - 1;
          const bool outside = r < 0 || r >= pictures.rows || c < 0 || c >= pictures.columns;
          EXPECT_EQ(gpu::thread::is_outside(tap, code), outside);
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
  [[nodiscard]] ChannelArrays arrays() const {
    return {statistics.mean.const_data_ptr<double>(), statistics.inv_std.const_data_ptr<double>(),
            weight.const_data_ptr<float>(), bias.const_data_ptr<float>(), nullptr};
  }
  [[nodiscard]] BatchAffine affine() const { return {weight, bias, {}}; }
  at::Tensor weight, bias;
  BatchStatistics statistics;
};

/// A weight [K, C, 3, 3] in channels-last.
at::Tensor weight_of(std::int64_t outputs, std::int64_t channels) {
  return (random({outputs, channels, 3, 3}, 6) * 0.2).contiguous(at::MemoryFormat::ChannelsLast);
}

TYPED_TEST(FoldedNormThreads, WeightsAndTables) {
  using T = TypeParam;
  constexpr int kLanes = 32;
  for (const std::int64_t channels : {8, 24, 128, 512}) {
    constexpr std::int64_t kOutputs = 8;
    const Norm norm(channels);
    const at::Tensor weight = weight_of(kOutputs, channels);
    const FoldedWeight wanted = fold(weight, norm.affine(), norm.statistics, at::kDouble);
    const at::Tensor folded = at::empty_like(weight, weight.options().dtype(this->kType));
    for (std::int64_t k = 0; k < kOutputs; ++k) {
      float taps[gpu::thread::kTaps] = {};
      for (int tap = 0; tap < gpu::thread::kTaps; ++tap) {
        const std::int64_t row = (k * gpu::thread::kTaps + tap) * channels;
        for (int lane = 0; lane < kLanes; ++lane)
          taps[tap] += gpu::thread::fold_row<T>(weight.const_data_ptr<float>() + row, norm.arrays(),
                                                static_cast<int>(channels), lane, kLanes,
                                                folded.data_ptr<T>() + row);
      }
      for (int code = 0; code < gpu::thread::kBorderCodes; ++code)
        EXPECT_NEAR(gpu::thread::border_term(taps, code), wanted.border[code][k].item<double>(),
                    1e-4);
      float constant = 0;
      for (const float tap : taps) constant += tap;
      EXPECT_NEAR(constant, wanted.constant[k].item<double>(), 1e-4);
    }
    EXPECT_LE(distance(folded, wanted.weight), this->kStored);
  }
}

TYPED_TEST(FoldedNormThreads, BordersOfTheOutput) {
  using T = TypeParam;
  for (const Pictures& pictures : kPictures) {
    const at::Tensor border = random({gpu::thread::kBorderCodes, pictures.channels}, 7);
    border[0].zero_();  // of a pixel in the middle
    const at::Tensor y = batch_of(pictures, this->kType);
    const at::Tensor wanted = y.to(at::kDouble);
    add_border(wanted, border.to(at::kDouble));
    const std::int64_t items =
        pictures.count * gpu::thread::border_pixels(pictures) * (pictures.channels / kWidth<T>);
    for (std::int64_t item = 0; item < items; ++item)
      gpu::thread::add_border<T, kWidth<T>>(border.const_data_ptr<float>(), pictures, item,
                                            y.data_ptr<T>());
    EXPECT_LE(distance(y, wanted), this->kStored) << pictures.rows << " x " << pictures.columns;
  }
}

gpu::thread::SideSums side_sums(const at::Tensor& sums) {
  return {sums[gpu::thread::kAll].item<double>(), sums[gpu::thread::kFirst].item<double>(),
          sums[gpu::thread::kLast].item<double>()};
}

TYPED_TEST(FoldedNormThreads, SumsInsideOfTheBorders) {
  using T = TypeParam;
  constexpr int kSides = static_cast<int>(Side::kSides);
  for (const Pictures& pictures : kPictures) {
    const at::Tensor grad = batch_of(pictures, this->kType);
    const at::Tensor sums =
        at::zeros({kSides, gpu::thread::kSideSums, pictures.channels}, at::kDouble);
    const int lanes = pictures.channels / kWidth<T>;
    for (int side = 0; side < kSides; ++side) {
      ThreadLayout layout = {0, pictures.channels, lanes, kThreads / lanes, 3};
      layout.rows = pictures.count * gpu::thread::pixels_of_side(pictures, static_cast<Side>(side));
      for_threads<kWidth<T>>(layout, [&](const auto& place) {
        float own[gpu::thread::kSideSums][kWidth<T>] = {};
        gpu::thread::add_side<T, kWidth<T>>(grad.const_data_ptr<T>(), pictures,
                                            static_cast<Side>(side), place, own);
        for (int q = 0; q < gpu::thread::kSideSums; ++q) {
          for (int i = 0; i < kWidth<T>; ++i) sums[side][q][place.channel + i].add_(own[q][i]);
        }
      });
    }
    const at::Tensor wanted = sums_inside(grad.to(at::kDouble));
    for (int c = 0; c < pictures.channels; c += 7) {
      const at::Tensor own = sums.select(2, c);
      for (int tap = 0; tap < gpu::thread::kTaps; ++tap)
        EXPECT_NEAR(gpu::thread::sum_inside(side_sums(own[0]), side_sums(own[1]), side_sums(own[2]),
                                            side_sums(own[3]), tap),
                    wanted[c][tap].item<double>(), 1e-4)
            << pictures.rows << " x " << pictures.columns << " tap " << tap;
    }
  }
}

TYPED_TEST(FoldedNormThreads, GradientsOfTheWeightAndSumsOfTheBatchNorm) {
  using T = TypeParam;
  constexpr int kWeightWidth = 4;
  for (const int channels : {8, 24, 128, 512}) {
    constexpr std::int64_t kOutputs = 16;
    const Norm norm(channels);
    const at::Tensor weight = weight_of(kOutputs, channels);
    const at::Tensor with_x = weight_of(kOutputs, channels).neg().to(this->kType);
    const at::Tensor inside = random({kOutputs, gpu::thread::kTaps}, 8);
    const at::Tensor gradient = at::full_like(weight, NAN);
    const at::Tensor sums = at::zeros({2, channels}, at::kDouble);
    const int lanes = channels / kWeightWidth;
    const ThreadLayout layout = {kOutputs * gpu::thread::kTaps, channels, lanes, kThreads / lanes,
                                 3};
    for_threads<kWeightWidth>(layout, [&](const auto& place) {
      const auto own_channels =
          gpu::thread::folded_channels<kWeightWidth>(norm.arrays(), place.channel);
      float own[2][kWeightWidth] = {};
      gpu::thread::weight_gradients<T, kWeightWidth>(
          weight.const_data_ptr<float>(), with_x.template const_data_ptr<T>(),
          inside.const_data_ptr<float>(), own_channels, place, gradient.data_ptr<float>(), own);
      for (int q = 0; q < 2; ++q) {
        for (int i = 0; i < kWeightWidth; ++i) sums[q][place.channel + i].add_(own[q][i]);
      }
    });
    const at::Tensor wanted = at::empty_like(weight, weight.options().dtype(at::kDouble));
    const BatchGradientSums of_norm =
        folded_gradients({with_x.to(at::kDouble), inside}, weight.to(at::kDouble), wanted,
                         norm.affine(), norm.statistics);
    EXPECT_LE(distance(gradient, wanted), 1e-5);
    EXPECT_LE(distance(sums, of_norm.sums), 1e-4);
  }
}

}  // namespace
}  // namespace diffprob::model

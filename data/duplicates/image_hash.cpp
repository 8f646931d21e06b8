#include "data/duplicates/image_hash.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <string>

#include "data/error.h"

namespace diffprob::data {
namespace {

/// Frequencies of a hash, each way: 128 pairs (v, u) with 3 <= v + u.
constexpr int kHashSide = 16;
/// The lowest ones are alike in all aligned faces.
constexpr int kLowestSum = 3;
/// Mean square of the grey levels that the hashed coefficients make, below which an image has
/// nearly one colour.
constexpr float kLeastPower = 1.0F;
/// Of the weighted coefficients of an image, likewise.
constexpr float kLeastLength = 50.0F;

struct Cut {
  double length;
  double begin;
};
/// In pixels of a line of 112.
constexpr std::array<Cut, 5> kLineCuts = {{{112, 0}, {104, 4}, {108, 0.7}, {108, 2}, {108, 3.3}}};

struct View {
  int vertical;  ///< places in kLineCuts
  int horizontal;
};
constexpr std::array<View, kImageViews> kViews = {
    {{0, 0}, {1, 1}, {2, 2}, {2, 3}, {2, 4}, {3, 2}, {3, 3}, {3, 4}, {4, 2}, {4, 3}, {4, 4}}};

/// Neighbouring bits are that many coefficients apart, so that every band of a search has low and
/// high frequencies: low ones are alike in many faces. Of all odd strides this one gives the
/// fewest comparisons on LFW, half as many as none.
constexpr std::size_t kStride = 41;

/// Coefficient of each bit, as v * kHashSide + u.
std::array<int, kHashBits> make_order() {
  std::array<int, kHashBits> by_frequency{};
  std::size_t next = 0;
  for (int sum = kLowestSum; next < by_frequency.size(); ++sum)
    for (int v = 0; v <= sum && next < by_frequency.size(); ++v)
      if (v < kHashSide && sum - v < kHashSide) by_frequency[next++] = v * kHashSide + sum - v;
  std::array<int, kHashBits> order{};
  for (std::size_t bit = 0; bit < order.size(); ++bit)
    order[bit] = by_frequency[kStride * bit % order.size()];
  return order;
}
const std::array<int, kHashBits>& bit_order() {
  static const auto order = make_order();
  return order;
}

ImageHash make_mirror_mask() {
  ImageHash mask{};
  for (std::size_t bit = 0; bit < kHashBits; ++bit)
    if (bit_order()[bit] % 2 == 1) mask[bit / 64] |= std::uint64_t{1} << (bit % 64);
  return mask;
}

/// Grey levels at half the size: each the mean of four pixels.
template <class Grey>
void half_grey(std::span<const std::uint8_t> rgb, Grey& grey) {
  constexpr std::size_t kPixels = std::size_t{kHashedSide} * kHashedSide;
  if (rgb.size() != 3 * kPixels)
    throw DataError("hash of an image: expected 112 x 112 pixels of 3 bytes, got " +
                    std::to_string(rgb.size()) + " bytes");
  constexpr int kHalf = kHashedSide / 2;
  const auto level = [&](int y, int x) {
    const auto* const p = rgb.data() + 3 * (y * kHashedSide + x);
    return 299 * p[0] + 587 * p[1] + 114 * p[2];
  };
  for (int y = 0; y < kHalf; ++y)
    for (int x = 0; x < kHalf; ++x) {
      const int sum = level(2 * y, 2 * x) + level(2 * y, 2 * x + 1) + level(2 * y + 1, 2 * x) +
                      level(2 * y + 1, 2 * x + 1);
      grey[static_cast<std::size_t>(y * kHalf + x)] = static_cast<float>(sum) / 4000.0F;
    }
}

/// Share of the pixel pair at 2 * i that lies inside the cut.
double coverage(const Cut& cut, int i) {
  const double begin = std::max(cut.begin, 2.0 * i);
  const double end = std::min(cut.begin + cut.length, 2.0 * i + 2);
  return std::max(0.0, end - begin) / 2;
}

/// Sum in eight lanes, which the compiler can vectorise; the order is fixed.
float dot(const float* a, const float* b, int n) {
  std::array<float, 8> lanes{};
  for (int i = 0; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) lanes[static_cast<std::size_t>(k)] += a[i + k] * b[i + k];
  float sum = 0;
  for (int i = n - n % 8; i < n; ++i) sum += a[i] * b[i];
  for (const float lane : lanes) sum += lane;
  return sum;
}

}  // namespace

ImageHash mirrored(const ImageHash& hash) noexcept {
  static const ImageHash mask = make_mirror_mask();
  return {hash[0] ^ mask[0], hash[1] ^ mask[1]};
}

ImageHasher::ImageHasher() {
  static_assert(kLineCuts.size() == kCuts);
  for (const Cut& cut : kLineCuts)
    for (int frequency = 0; frequency < ImageDescription::kSide; ++frequency)
      for (int i = 0; i < kHalf; ++i) {
        const double at = std::clamp(2.0 * i + 1, cut.begin, cut.begin + cut.length);
        const double angle = std::numbers::pi * frequency * (at - cut.begin) / cut.length;
        const double scale = std::sqrt((frequency == 0 ? 2.0 : 4.0) / cut.length);
        basis_.push_back(static_cast<float>(scale * std::cos(angle) * coverage(cut, i)));
      }
}

std::vector<float> ImageHasher::transform_columns(const Grey& grey, int frequencies) const {
  std::vector<float> by_row(static_cast<std::size_t>(kCuts * frequencies * kHalf));
  for (int cut = 0; cut < kCuts; ++cut)
    for (int v = 0; v < frequencies; ++v) {
      const float* const cosines = basis_.data() + (cut * ImageDescription::kSide + v) * kHalf;
      float* const out = by_row.data() + (cut * frequencies + v) * kHalf;
      for (int y = 0; y < kHalf; ++y)
        for (int x = 0; x < kHalf; ++x) out[x] += cosines[y] * grey[y * kHalf + x];
    }
  return by_row;
}

void ImageHasher::transform_view(int view, int frequencies, const std::vector<float>& by_row,
                                 float* coefficients) const {
  const View& cuts = kViews[static_cast<std::size_t>(view)];
  const float* const rows = by_row.data() + cuts.vertical * frequencies * kHalf;
  const float* const cosines = basis_.data() + cuts.horizontal * ImageDescription::kSide * kHalf;
  for (int v = 0; v < frequencies; ++v)
    for (int u = 0; u < frequencies; ++u)
      coefficients[v * frequencies + u] = dot(rows + v * kHalf, cosines + u * kHalf, kHalf);
}

bool ImageHasher::hash(std::span<const std::uint8_t> rgb, ViewHashes& out) const {
  Grey grey;
  half_grey(rgb, grey);
  const auto by_row = transform_columns(grey, kHashSide);
  std::array<float, kHashSide * kHashSide> coefficients;
  for (int view = 0; view < kImageViews; ++view) {
    transform_view(view, kHashSide, by_row, coefficients.data());
    float power = 0;
    ImageHash& hash = out[static_cast<std::size_t>(view)];
    hash = {};
    for (std::size_t bit = 0; bit < kHashBits; ++bit) {
      const float value = coefficients[static_cast<std::size_t>(bit_order()[bit])];
      power += value * value;
      if (value > 0) hash[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
    if (view == 0 && power < kLeastPower * kHalf * kHalf) return false;
  }
  return true;
}

ImageDescription ImageHasher::describe(std::span<const std::uint8_t> rgb) const {
  constexpr int kSide = ImageDescription::kSide;
  Grey grey;
  half_grey(rgb, grey);
  const auto by_row = transform_columns(grey, kSide);
  ImageDescription result;
  result.values.resize(std::size_t{kImageViews} * ImageDescription::kCoefficients);
  for (int view = 0; view < kImageViews; ++view) {
    float* const values = result.values.data() + view * ImageDescription::kCoefficients;
    transform_view(view, kSide, by_row, values);
    // High frequencies are small and tell photographs of one person apart: they count more.
    for (int v = 0; v < kSide; ++v)
      for (int u = 0; u < kSide; ++u) values[v * kSide + u] *= static_cast<float>(v + u);
    const float length = std::sqrt(dot(values, values, ImageDescription::kCoefficients));
    if (length < kLeastLength) return {};
    for (int i = 0; i < ImageDescription::kCoefficients; ++i) values[i] /= length;
  }
  return result;
}

double image_similarity(const ImageDescription& a, const ImageDescription& b) {
  if (a.values.empty() || b.values.empty()) return 0;
  constexpr int kSide = ImageDescription::kSide;
  const auto best = [](const float* whole, const std::vector<float>& views) {
    float most = -1;
    for (int view = 0; view < kImageViews; ++view) {
      // A mirror image has the coefficients of odd horizontal frequency with the other sign.
      float even = 0, odd = 0;
      const float* const other = views.data() + view * ImageDescription::kCoefficients;
      for (int i = 0; i < ImageDescription::kCoefficients; i += 2) {
        even += whole[i] * other[i];
        odd += whole[i + 1] * other[i + 1];
      }
      most = std::max(most, even + std::abs(odd));
    }
    return most;
  };
  static_assert(kSide % 2 == 0);  // so that odd places are odd horizontal frequencies
  return std::max(best(a.values.data(), b.values), best(b.values.data(), a.values));
}

}  // namespace diffprob::data

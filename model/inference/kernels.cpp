#include "model/inference/kernels.h"

#include "model/kernels/host_device.h"
#include "model/kernels/vector_dispatch.h"

namespace diffprob::model::host {
namespace {

/// NaN stays NaN.
DIFFPROB_INLINE float prelu_of(float x, float slope) {
  const float scaled = x * slope;
  return x > 0.0f ? x : scaled;
}

DIFFPROB_INLINE void prelu_body(float* __restrict pixels, std::int64_t count, std::int64_t channels,
                                const float* __restrict slope) {
  for (std::int64_t i = 0; i < count; ++i) {
    float* __restrict pixel = pixels + i * channels;
    for (std::int64_t c = 0; c < channels; ++c) pixel[c] = prelu_of(pixel[c], slope[c]);
  }
}

DIFFPROB_INLINE void biased_prelu_body(float* __restrict row, std::int64_t width,
                                       std::int64_t channels, const float* __restrict bias,
                                       const float* __restrict slope) {
  for (std::int64_t x = 0; x < width; ++x) {
    float* __restrict pixel = row + x * channels;
    const float* __restrict own = bias + (x == 0 ? 0 : x + 1 < width ? 1 : 2) * channels;
    for (std::int64_t c = 0; c < channels; ++c) pixel[c] = prelu_of(pixel[c] + own[c], slope[c]);
  }
}

DIFFPROB_INLINE void channel_sums_body(const float* __restrict pixels, std::int64_t count,
                                       std::int64_t channels, float* __restrict sums) {
  for (std::int64_t c = 0; c < channels; ++c) sums[c] = 0.0f;
  for (std::int64_t i = 0; i < count; ++i) {
    for (std::int64_t c = 0; c < channels; ++c) sums[c] += pixels[i * channels + c];
  }
}

DIFFPROB_INLINE void add_scaled_body(float* __restrict sum, const float* __restrict values,
                                     std::int64_t count, std::int64_t channels,
                                     const float* __restrict scale) {
  for (std::int64_t i = 0; i < count; ++i) {
    float* __restrict out = sum + i * channels;
    const float* __restrict pixel = values + i * channels;
    for (std::int64_t c = 0; c < channels; ++c) out[c] += pixel[c] * scale[c];
  }
}

}  // namespace

void prelu(float* pixels, std::int64_t count, std::int64_t channels, const float* slope) {
  run_widest<prelu_body>(pixels, count, channels, slope);
}

void biased_prelu_row(float* row, std::int64_t width, std::int64_t channels, const float* bias,
                      const float* slope) {
  run_widest<biased_prelu_body>(row, width, channels, bias, slope);
}

void channel_sums(const float* pixels, std::int64_t count, std::int64_t channels, float* sums) {
  run_widest<channel_sums_body>(pixels, count, channels, sums);
}

void add_scaled(float* sum, const float* values, std::int64_t count, std::int64_t channels,
                const float* scale) {
  run_widest<add_scaled_body>(sum, values, count, channels, scale);
}

}  // namespace diffprob::model::host

#pragma once

#include <cstdint>

/// Elementwise loops of the inference network on host memory, channels last. A "pixel" is
/// `channels` floats; arrays without another shape have one value a channel.
namespace diffprob::model::host {

/// In place: x = x > 0 ? x : slope * x.
void prelu(float* pixels, std::int64_t count, std::int64_t channels, const float* slope);

/// In place on one row of `width` >= 2 pixels: x = prelu(x + bias). bias: [3, channels], of the
/// first pixel, those between, the last.
void biased_prelu_row(float* row, std::int64_t width, std::int64_t channels, const float* bias,
                      const float* slope);

/// sums[c] = sum of the channel over the pixels.
void channel_sums(const float* pixels, std::int64_t count, std::int64_t channels, float* sums);

/// sum[i] += values[i] * scale[channel of i]
void add_scaled(float* sum, const float* values, std::int64_t count, std::int64_t channels,
                const float* scale);

}  // namespace diffprob::model::host

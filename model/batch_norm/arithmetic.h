#pragma once

#include "model/kernels/host_device.h"

/// What batch norm, PReLU and residual sum do to one element, forward and backward, on the host
/// (threads.h is its counterpart for a GPU). One channel is described by
///   mean, scale, shift     z = (x - mean) * scale + shift
///   slope                  PReLU of that channel; y = z where z > 0, else slope * z
///   constant, factor       part of the input gradient that comes from the statistics of the batch
namespace diffprob::model::host {

/// Output of the batch norm. It is rounded only once: values near zero then seldom land on the
/// wrong side of the PReLU, which would be an error of the size of the gradient.
DIFFPROB_HOST_DEVICE float normalized(float x, float mean, float scale, float shift) {
  const double away = static_cast<double>(x) - static_cast<double>(mean);
  return static_cast<float>(away * static_cast<double>(scale) + static_cast<double>(shift));
}

DIFFPROB_HOST_DEVICE float prelu(float z, float slope) {
  return z > 0.0f ? z : slope * z;
}

/// Returns the gradient of z, given that of y.
DIFFPROB_HOST_DEVICE float prelu_gradient(float grad, float z, float slope) {
  return z > 0.0f ? grad : slope * grad;
}

/// Returns what this element adds to the gradient of the slope.
DIFFPROB_HOST_DEVICE float slope_gradient(float grad, float z) {
  return z > 0.0f ? 0.0f : grad * z;
}

/// Returns the gradient of x, given that of z.
DIFFPROB_HOST_DEVICE float input_gradient(float grad, float x, float mean, float scale,
                                          float constant, float factor) {
  return grad * scale - constant - (x - mean) * factor;
}

}  // namespace diffprob::model::host

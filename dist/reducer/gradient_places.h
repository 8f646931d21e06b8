#pragma once

#include <unordered_map>

#include <ATen/core/Tensor.h>

namespace diffprob::dist {

/// Where the gradient of each parameter is to lie, for what computes it: an operator of our own
/// writes there, and neither a fill with zeros nor a sum or copy is left to do. Filled by
/// GradientReducer. Not thread-safe: the backward of one device runs on one thread, and so does the
/// rest of a step while no backward runs.
class GradientPlaces {
 public:
  /// Returns a new tensor with sizes and strides of `parameter` over the memory of its gradient,
  /// contents undefined, which the caller fills and returns as the gradient. Undefined where the
  /// caller has to bring memory of its own: the parameter has a gradient already (of an earlier
  /// micro-step or another use), or nobody reduces it.
  [[nodiscard]] at::Tensor take(const at::Tensor& parameter);

  void set(const at::Tensor& parameter, const at::Tensor& view);
  /// All gradients are to be computed anew.
  void release();

 private:
  struct Place {
    at::Tensor view;
    bool taken = false;
  };
  std::unordered_map<const c10::TensorImpl*, Place> places_;
};

}  // namespace diffprob::dist

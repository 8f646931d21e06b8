#pragma once

#include <torch/autograd.h>

#include "model/batch_norm/context.h"

namespace diffprob::model {

/// What a pass through a batch norm has besides tensors that gradients flow to; kept from its
/// forward pass for its backward pass.
struct SavedPass {
  BatchStatistics statistics;
  dist::Communicator* sync = nullptr;
  dist::GradientPlaces* places = nullptr;
  c10::intrusive_ptr<OutputGradient> of_output{};  ///< null: the next layer does not sum it up
  c10::intrusive_ptr<OutputGradient> of_input{};   ///< null: the layer before needs no sums

  void save(torch::autograd::AutogradContext& ctx) const;
  [[nodiscard]] static SavedPass load(torch::autograd::AutogradContext& ctx);

  /// Returns the sums that the next layer took of `grad` when it wrote it; undefined if none did,
  /// or if the gradient of this output has come another way.
  [[nodiscard]] at::Tensor take_sums(const at::Tensor& grad) const;
  /// Returns where the gradient of a parameter is to be written; undefined: in a new tensor.
  [[nodiscard]] at::Tensor place_of(const at::Tensor& parameter) const;
  /// Returns this rank's sums of the backward pass, added up over the ranks if the statistics are
  /// (collective then).
  [[nodiscard]] at::Tensor over_all_ranks(const at::Tensor& local_sums) const;
  /// Returns batch_input_gradient() with the sums over all ranks, and leaves that of the layer
  /// before for its backward pass.
  [[nodiscard]] at::Tensor input_gradient(const GivenGradients& given, const at::Tensor& x,
                                          const BatchAffine& affine, const at::Tensor& sums) const;
};

/// Returns the gradient in the layout of x: the kernels walk both with the same index.
[[nodiscard]] at::Tensor laid_out_as(const at::Tensor& grad, const at::Tensor& x);

}  // namespace diffprob::model

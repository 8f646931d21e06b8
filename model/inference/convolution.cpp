#include "model/inference/convolution.h"

#include <ATen/ATen.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

// GCC 12 takes an empty optional<Scalar> that is moved for an uninitialised one.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace diffprob::model {
namespace {

constexpr std::array<std::int64_t, 2> kNoDilation = {1, 1};
/// Batch size that the blocked order is chosen for; other sizes work too.
constexpr std::int64_t kTypicalBatch = 8;

using Scalars = c10::List<std::optional<at::Scalar>>;
using Reorder = at::Tensor(const at::Tensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef,
                           std::int64_t, at::OptionalIntArrayRef);
using Convolve = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                            at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, std::int64_t,
                            c10::string_view, Scalars, std::optional<c10::string_view>);
using ConvolveAdd = at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&,
                                const std::optional<at::Tensor>&, at::IntArrayRef, at::IntArrayRef,
                                at::IntArrayRef, std::int64_t, c10::string_view,
                                std::optional<at::Scalar>, std::optional<c10::string_view>, Scalars,
                                std::optional<c10::string_view>);

/// LibTorch's operators on oneDNN with weights in blocked order. They are reached by name: they
/// have no C++ header, and builds without oneDNN have none of them.
struct BlockedOperators {
  c10::TypedOperatorHandle<Reorder> reorder;
  c10::TypedOperatorHandle<Convolve> convolve;
  c10::TypedOperatorHandle<ConvolveAdd> convolve_add;
};

std::optional<BlockedOperators> find_blocked_operators() {
  auto& dispatcher = c10::Dispatcher::singleton();
  const auto reorder = dispatcher.findSchema({"mkldnn::_reorder_convolution_weight", ""});
  const auto convolve = dispatcher.findSchema({"mkldnn::_convolution_pointwise", ""});
  const auto convolve_add = dispatcher.findSchema({"mkldnn::_convolution_pointwise_", "binary"});
  if (!at::hasMKLDNN() || !reorder || !convolve || !convolve_add) return std::nullopt;
  return BlockedOperators{reorder->typed<Reorder>(), convolve->typed<Convolve>(),
                          convolve_add->typed<ConvolveAdd>()};
}

const std::optional<BlockedOperators>& blocked_operators() {
  static const std::optional<BlockedOperators> operators = find_blocked_operators();
  return operators;
}

}  // namespace

InferenceConvolution::InferenceConvolution(const at::Tensor& weight,
                                           const std::optional<at::Tensor>& bias,
                                           ConvolutionPlace place, const at::TensorOptions& options)
    : stride_{place.stride, place.stride},
      padding_{place.padding, place.padding},
      groups_(place.groups) {
  weight_ = weight.to(options).contiguous(at::MemoryFormat::ChannelsLast);
  if (bias) bias_ = bias->to(options).contiguous();
  blocked_ =
      options.device().is_cpu() && options.dtype() == at::kFloat && blocked_operators().has_value();
  if (!blocked_) return;
  const std::array<std::int64_t, 4> input = {kTypicalBatch, weight.size(1) * groups_, place.side,
                                             place.side};
  weight_ = blocked_operators()->reorder.call(weight_.contiguous(), padding_, stride_, kNoDilation,
                                              groups_, at::IntArrayRef(input));
}

at::Tensor InferenceConvolution::operator()(const at::Tensor& x) const {
  if (!blocked_) return at::conv2d(x, weight_, bias_, stride_, padding_, kNoDilation, groups_);
  return blocked_operators()->convolve.call(x, weight_, bias_, padding_, stride_, kNoDilation,
                                            groups_, "none", Scalars(), std::nullopt);
}

void InferenceConvolution::add_to(at::Tensor& sum, const at::Tensor& x) const {
  if (!blocked_) {
    sum.add_(at::conv2d(x, weight_, bias_, stride_, padding_, kNoDilation, groups_));
    return;
  }
  blocked_operators()->convolve_add.call(sum, x, weight_, bias_, padding_, stride_, kNoDilation,
                                         groups_, "add", std::nullopt, std::nullopt, Scalars(),
                                         std::nullopt);
}

}  // namespace diffprob::model

#include "model/networks/network_info.h"

#include <memory>
#include <string_view>

#include <ATen/ATen.h>
#include <ATen/record_function.h>

namespace diffprob::model {
namespace {

/// What the operators of this thread do while an OperationCount lives. Callbacks of LibTorch are
/// plain functions: they find it here.
thread_local NetworkInfo* counted = nullptr;

std::int64_t output_elements(const at::RecordFunction& call) {
  const auto outputs = call.outputs();
  return outputs.empty() || !outputs[0].isTensor() ? 0 : outputs[0].toTensor().numel();
}

/// Multiply-adds of one output element, kept from the start of a call to its end: the inputs are
/// readable at the start, the outputs at the end.
struct FilterSize : at::ObserverContext {
  explicit FilterSize(std::int64_t the_elements) : elements(the_elements) {}
  std::int64_t elements;
};

/// Of a convolution's weight [out, ...], of the second factor [in, out] of the product that a
/// linear layer is, or of the products of an attention. 0: another operator.
std::int64_t filter_size(const at::RecordFunction& call) {
  const std::string_view name = call.name();
  const auto inputs = call.inputs();
  if (name == "aten::convolution")
    return inputs[1].toTensor().numel() / inputs[1].toTensor().size(0);
  if (name == "aten::mm") return inputs[1].toTensor().size(0);
  if (name == "aten::addmm") return inputs[2].toTensor().size(0);
  if (name == "aten::scaled_dot_product_attention")  // queries by keys, shares by values
    return 2 * inputs[1].toTensor().size(-2);
  return 0;
}

std::unique_ptr<at::ObserverContext> start(const at::RecordFunction& call) {
  return std::make_unique<FilterSize>(filter_size(call));
}

void end(const at::RecordFunction& call, at::ObserverContext* context) {
  if (counted == nullptr) return;
  const std::string_view name = call.name();
  const std::int64_t filter = static_cast<const FilterSize*>(context)->elements;
  if (filter > 0) {
    const std::int64_t macs = output_elements(call) * filter;
    counted->macs += macs;
    counted->reference_flops += 2 * macs;
    if (name == "aten::addmm") counted->reference_flops += output_elements(call);  // the bias
  } else if (name == "aten::batch_norm") {
    counted->reference_flops += 2 * output_elements(call);
  } else if (name == "aten::prelu" || name == "aten::relu") {
    counted->reference_flops += output_elements(call);
  }
}

class OperationCount {
 public:
  explicit OperationCount(NetworkInfo& info)
      : handle_(at::addThreadLocalCallback(at::RecordFunctionCallback(&start, &end)
                                               .needsInputs(true)
                                               .needsOutputs(true)
                                               .scopes({at::RecordScope::FUNCTION}))) {
    counted = &info;
  }
  ~OperationCount() {
    counted = nullptr;
    at::removeCallback(handle_);
  }
  OperationCount(const OperationCount&) = delete;
  OperationCount& operator=(const OperationCount&) = delete;

 private:
  at::CallbackHandle handle_;
};

}  // namespace

NetworkInfo network_info(const BackboneOptions& options) {
  BackboneOptions plain = options;
  plain.fused_batch_norm = false;  // own kernels are not operators of LibTorch
  plain.sync_batch_norm = nullptr;
  plain.recompute = false;
  const auto net = make_backbone(plain);
  net->eval();
  NetworkInfo info;
  for (const auto& parameter : net->parameters()) {
    info.parameters += parameter.numel();
    if (parameter.requires_grad()) info.trainable_parameters += parameter.numel();
  }
  const at::NoGradGuard no_grad;
  const OperationCount operations(info);
  (void)net->forward(at::zeros({1, 3, 112, 112}));
  return info;
}

}  // namespace diffprob::model

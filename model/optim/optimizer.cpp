#include "model/optim/optimizer.h"

#include <map>
#include <set>

#include <torch/nn/modules/normalization.h>

namespace diffprob::model {
namespace {

void append_exempt(const torch::nn::Module& module, const std::string& prefix,
                   std::vector<std::string>& names) {
  const bool norm = module.named_buffers(/*recurse=*/false).contains("running_mean") ||
                    module.as<torch::nn::LayerNormImpl>() != nullptr;
  for (const auto& item : module.named_parameters(/*recurse=*/false)) {
    const std::string& name = item.key();
    const bool token = name == "pos_embed" || name == "mask_token";
    if (norm || token || name == "bias") names.push_back(prefix + name);
  }
  for (const auto& item : module.named_children())
    append_exempt(*item.value(), prefix + item.key() + ".", names);
}

}  // namespace

Optimizer::Optimizer(std::vector<at::Tensor> parameters, const std::vector<double>& weight_decays)
    : parameters_(std::move(parameters)) {
  TORCH_CHECK(weight_decays.size() == parameters_.size(), "optimizer: ", parameters_.size(),
              " parameters, but ", weight_decays.size(), " weight decays");
  std::map<std::pair<double, at::ScalarType>, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    members[{weight_decays[i], parameters_[i].scalar_type()}].push_back(i);
  for (auto& [key, indices] : members) groups_.push_back({key.first, std::move(indices)});
}

void Optimizer::step(const StepControl& control) {
  const at::NoGradGuard no_grad;
  for (const auto& group : groups_) {
    std::vector<std::size_t> which;
    for (const std::size_t i : group.members) {
      if (parameters_[i].grad().defined()) which.push_back(i);
    }
    if (!which.empty()) update(which, group.weight_decay, control);
  }
}

std::vector<at::Tensor> Optimizer::zeros_like_parameters() const {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> zeros;
  for (const auto& parameter : parameters_) zeros.push_back(at::zeros_like(parameter));
  return zeros;
}

std::vector<std::string> decay_exempt(const torch::nn::Module& module) {
  std::vector<std::string> names;
  append_exempt(module, "", names);
  return names;
}

std::vector<double> weight_decays(const torch::nn::Module& module, double weight_decay,
                                  DecayOn decay_on) {
  std::set<std::string> exempt;
  if (decay_on == DecayOn::kWeights) {
    const auto names = decay_exempt(module);
    exempt.insert(names.begin(), names.end());
  }
  std::vector<double> decays;
  for (const auto& item : module.named_parameters()) {
    if (item.value().requires_grad())
      decays.push_back(exempt.contains(item.key()) ? 0.0 : weight_decay);
  }
  return decays;
}

std::vector<at::Tensor> pick(const std::vector<at::Tensor>& tensors,
                             const std::vector<std::size_t>& which) {
  std::vector<at::Tensor> picked;
  picked.reserve(which.size());
  for (const std::size_t i : which) picked.push_back(tensors[i]);
  return picked;
}

std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> gradients;
  gradients.reserve(parameters.size());
  for (const auto& parameter : parameters) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad());
  }
  return gradients;
}

std::vector<std::vector<at::Tensor>> matching_lists(const std::vector<at::TensorList>& lists) {
  std::vector<std::vector<at::Tensor>> matching(lists.size());
  for (const auto& list : lists) {
    TORCH_CHECK(list.size() == lists[0].size(), "optimizer: ", lists[0].size(), " parameters, but ",
                list.size(), " gradients or states");
  }
  for (std::size_t i = 0; i < lists[0].size(); ++i) {
    for (const auto& list : lists) {
      TORCH_CHECK(list[i].sizes() == lists[0][i].sizes(), "optimizer: parameter ", i, " has shape ",
                  lists[0][i].sizes(), ", its gradient or state ", list[i].sizes());
    }
    if (lists[0][i].numel() == 0) continue;
    for (std::size_t k = 0; k < lists.size(); ++k) matching[k].push_back(lists[k][i]);
  }
  return matching;
}

bool can_fuse(const std::vector<std::vector<at::Tensor>>& lists) {
  const auto& parameters = lists[0];
  for (const auto& list : lists) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (list[i].scalar_type() != parameters[0].scalar_type() ||
          list[i].strides() != parameters[i].strides())
        return false;
      if (!list[i].is_non_overlapping_and_dense()) return false;
    }
  }
  return true;
}

std::optional<at::Tensor> skip_flag(const StepControl& control) {
  if (!control.do_update.defined()) return std::nullopt;
  return (control.do_update == 0).to(at::kFloat);
}

std::optional<at::Tensor> fused_divisor(const StepControl& control,
                                        const std::vector<at::Tensor>& gradients) {
  if (!control.gradient_divisor.defined()) return std::nullopt;
  if (gradients[0].scalar_type() != at::kDouble) return control.gradient_divisor.to(at::kFloat);
  at::_foreach_div_(gradients, control.gradient_divisor);
  return std::nullopt;
}

at::Tensor divided(const at::Tensor& gradient, at::ScalarType type, const StepControl& control) {
  const at::Tensor values = gradient.to(type);
  return control.gradient_divisor.defined() ? at::div(values, control.gradient_divisor) : values;
}

void refuse_device_rate(const StepControl& control, const char* who) {
  TORCH_CHECK(!control.device_rate.defined(), who, ": accepts a learning rate only from the host");
}

void store(const at::Tensor& target, const at::Tensor& value, const StepControl& control) {
  target.copy_(control.do_update.defined()
                   ? at::where(control.do_update != 0, value, target.to(value.scalar_type()))
                   : value);
}

}  // namespace diffprob::model

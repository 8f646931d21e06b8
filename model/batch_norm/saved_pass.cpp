#include "model/batch_norm/saved_pass.h"

namespace diffprob::model {
namespace {

using torch::autograd::AutogradContext;

/// Autograd keeps numbers, but no pointers.
template <class T>
std::int64_t as_number(T* pointer) {
  return static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(pointer));
}
template <class T>
T* pointer_of(AutogradContext& ctx, const char* name) {
  return reinterpret_cast<T*>(static_cast<std::intptr_t>(ctx.saved_data[name].toInt()));
}

void keep(const c10::intrusive_ptr<OutputGradient>& link, const char* name, AutogradContext& ctx) {
  if (link) ctx.saved_data[name] = c10::IValue::make_capsule(link);
}
c10::intrusive_ptr<OutputGradient> kept(AutogradContext& ctx, const char* name) {
  const auto found = ctx.saved_data.find(name);
  if (found == ctx.saved_data.end()) return {};
  return c10::static_intrusive_pointer_cast<OutputGradient>(found->second.toCapsule());
}

}  // namespace

void SavedPass::save(AutogradContext& ctx) const {
  ctx.saved_data["mean"] = statistics.mean;
  ctx.saved_data["inv_std"] = statistics.inv_std;
  ctx.saved_data["count"] = statistics.count;
  ctx.saved_data["shared_count"] = statistics.shared_count;
  ctx.saved_data["frozen"] = statistics.frozen;
  ctx.saved_data["sync"] = as_number(sync);
  ctx.saved_data["places"] = as_number(places);
  keep(of_output, "of_output", ctx);
  keep(of_input, "of_input", ctx);
}

SavedPass SavedPass::load(AutogradContext& ctx) {
  const auto tensor = [&](const char* name) { return ctx.saved_data[name].toTensor(); };
  return {{tensor("mean"), tensor("inv_std"), ctx.saved_data["count"].toDouble(),
           tensor("shared_count"), ctx.saved_data["frozen"].toBool()},
          pointer_of<dist::Communicator>(ctx, "sync"),
          pointer_of<dist::GradientPlaces>(ctx, "places"),
          kept(ctx, "of_output"),
          kept(ctx, "of_input")};
}

at::Tensor SavedPass::take_sums(const at::Tensor& grad) const {
  if (!of_output) return {};
  const bool same = of_output->written.defined() && same_values(of_output->written, grad);
  const at::Tensor sums = same ? of_output->layer.sums : at::Tensor();
  of_output->written = of_output->layer.sums = of_output->layer.x = at::Tensor();
  return sums;
}

at::Tensor SavedPass::place_of(const at::Tensor& parameter) const {
  return places != nullptr && parameter.defined() && parameter.requires_grad()
             ? places->take(parameter)
             : at::Tensor();
}

at::Tensor SavedPass::over_all_ranks(const at::Tensor& local_sums) const {
  if (sync == nullptr || statistics.frozen) return local_sums;
  at::Tensor sums = local_sums.slice(0, 0, 2).clone();
  sync->all_reduce(sums)->wait_stream();
  return sums;
}

at::Tensor SavedPass::input_gradient(const GivenGradients& given, const at::Tensor& x,
                                     const BatchAffine& affine, const at::Tensor& sums) const {
  const at::Tensor grad_x = batch_input_gradient(given, x, affine, statistics, sums,
                                                 of_input ? &of_input->layer : nullptr);
  if (of_input) {
    of_input->layer.x = at::Tensor();
    of_input->written = grad_x;
  }
  return grad_x;
}

at::Tensor laid_out_as(const at::Tensor& grad, const at::Tensor& x) {
  const bool channels_last = x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast);
  return grad.contiguous(channels_last ? at::MemoryFormat::ChannelsLast
                                       : at::MemoryFormat::Contiguous);
}

}  // namespace diffprob::model

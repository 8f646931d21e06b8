#include "dist/reducer/gradient_places.h"

namespace diffprob::dist {

at::Tensor GradientPlaces::take(const at::Tensor& parameter) {
  const auto found = places_.find(parameter.unsafeGetTensorImpl());
  if (found == places_.end() || found->second.taken || parameter.grad().defined()) return {};
  found->second.taken = true;
  // Autograd makes a tensor the gradient as it is, without a copy, if nobody else refers to it.
  return found->second.view.detach();
}

void GradientPlaces::set(const at::Tensor& parameter, const at::Tensor& view) {
  places_[parameter.unsafeGetTensorImpl()] = {view};
}

void GradientPlaces::release() {
  for (auto& [parameter, place] : places_) place.taken = false;
}

}  // namespace diffprob::dist

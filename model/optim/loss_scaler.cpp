#include "model/optim/loss_scaler.h"

#include <cmath>

namespace diffprob::model {

double initial_loss_scale(std::int64_t global_batch) {
  TORCH_CHECK(global_batch > 0, "loss scale: expected a positive batch, got ", global_batch);
  return std::exp2(std::floor(std::log2(256.0 * static_cast<double>(global_batch))));
}

LossScaler::LossScaler(const LossScalerOptions& options, at::Device device)
    : options_(options),
      scale_(at::full({}, options.initial_scale,
                      at::TensorOptions().dtype(at::kFloat).device(device))),
      growth_tracker_(at::zeros({}, at::TensorOptions().dtype(at::kInt).device(device))) {
  TORCH_CHECK(options.initial_scale > 0, "loss scale: expected a positive number, got ",
              options.initial_scale);
  TORCH_CHECK(options.growth_factor > 1, "loss scale: expected a growth factor above 1, got ",
              options.growth_factor);
  TORCH_CHECK(options.backoff_factor > 0 && options.backoff_factor < 1,
              "loss scale: expected a backoff factor in (0, 1), got ", options.backoff_factor);
  TORCH_CHECK(options.growth_interval > 0, "loss scale: expected a positive growth interval, got ",
              options.growth_interval);
}

void LossScaler::update(const at::Tensor& finite) {
  const at::NoGradGuard no_grad;
  const at::Tensor overflow = (finite.reshape({}) == 0).to(at::kFloat);
  at::_amp_update_scale_(scale_, growth_tracker_, overflow, options_.growth_factor,
                         options_.backoff_factor, options_.growth_interval);
}

}  // namespace diffprob::model

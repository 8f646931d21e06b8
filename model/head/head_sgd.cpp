#include "model/head/head_sgd.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include "data/random/keyed_random.h"
#include "model/softmax/gpu_ops.h"
#include "model/softmax/kernels.h"
#include "model/softmax/keyed_hash.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kRowGrain = 64;
constexpr std::int64_t kBits16 = 0xFFFF;

/// Rows of a tensor that an update may write to: the rows themselves where they are adjacent and
/// float32, else a float32 copy.
struct RowValues {
  at::Tensor values;  // [n, D] float32
  bool in_place;
};
RowValues read_rows(const at::Tensor& whole, const RowGradients& rows) {
  const at::Tensor stored = rows.rows.defined()
                                ? whole.index_select(0, rows.rows)
                                : whole.narrow(0, rows.first, rows.gradient.size(0));
  return {stored.to(at::kFloat), !rows.rows.defined() && stored.scalar_type() == at::kFloat};
}

void write_rows(at::Tensor whole, const RowGradients& rows, const RowValues& changed,
                std::int64_t first_class, std::uint64_t key) {
  if (changed.in_place) return;
  at::Tensor stored = changed.values;
  if (whole.scalar_type() == at::kBFloat16) {
    const std::int64_t first = first_class + rows.first;
    const at::Tensor ids = rows.rows.defined() ? rows.rows.add(first_class)
                                               : at::arange(first, first + stored.size(0),
                                                            whole.options().dtype(at::kLong));
    stored = round_stochastically(stored, ids, key);
  }
  if (rows.rows.defined()) {
    whole.index_copy_(0, rows.rows, stored);
  } else {
    whole.narrow(0, rows.first, stored.size(0)).copy_(stored);
  }
}

}  // namespace

at::Tensor round_stochastically(const at::Tensor& values, const at::Tensor& class_ids,
                                std::uint64_t key) {
  if (!values.device().is_cpu()) return any_device::round_stochastically(values, class_ids, key);
  const at::Tensor source = values.contiguous();
  const at::Tensor ids = class_ids.contiguous();
  const at::Tensor out = at::empty(source.sizes(), source.options().dtype(at::kBFloat16));
  const std::int64_t dim = source.size(1);
  const float* from = source.const_data_ptr<float>();
  const std::int64_t* id = ids.const_data_ptr<std::int64_t>();
  static_assert(sizeof(at::BFloat16) == sizeof(std::uint16_t));
  auto* to = static_cast<std::uint16_t*>(out.mutable_data_ptr());
  at::parallel_for(0, source.size(0), kRowGrain, [&](std::int64_t first, std::int64_t last) {
    host::round_stochastically(from + first * dim, id + first, last - first, dim, key,
                               to + first * dim);
  });
  return out;
}

at::Tensor any_device::round_stochastically(const at::Tensor& values, const at::Tensor& class_ids,
                                            std::uint64_t key) {
  const at::Tensor columns = at::arange(values.size(1), class_ids.options());
  const at::Tensor ids = class_ids.unsqueeze(1).mul(values.size(1)).add(columns);
  const at::Tensor random = keyed_hash(ids, key_on(ids.device(), key)).bitwise_and_(kBits16);
  const at::Tensor bits = values.contiguous().view(at::kInt);
  const at::Tensor rounded = bits.add(random.to(at::kInt))
                                 .bitwise_and_(~static_cast<std::int32_t>(kBits16))
                                 .view(at::kFloat);
  // What is left has zeros in its lower 16 bits: the cast drops no digit. Adding bits to a
  // not-a-number could make a number of it.
  return at::where(values.isfinite(), rounded, values).to(at::kBFloat16);
}

HeadSgd::HeadSgd(at::Tensor weight, std::int64_t first_class, HeadSgdOptions options)
    : weight_(std::move(weight)), first_class_(first_class), options_(options) {
  const at::ScalarType type = weight_.scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16,
              "head: expected float32 or bfloat16 weights, got ", type);
  momentum_ = at::zeros_like(weight_);
}

void HeadSgd::begin_step(StepControl control, std::uint64_t step, const at::Tensor& device_step) {
  control_ = std::move(control);
  key_ = data::combine_key(options_.seed, step);
  const bool rounds = weight_.scalar_type() == at::kBFloat16;
  device_key_ =
      rounds && device_step.defined() ? combine_key(options_.seed, device_step) : at::Tensor();
}

bool HeadSgd::skipped_on_host() const {
  return control_.do_update.defined() && weight_.device().is_cpu() &&
         control_.do_update.item<double>() == 0.0;
}

bool HeadSgd::projects() const noexcept {
  return gpu::has_head_sgd(weight_);
}

void HeadSgd::update_rows(const RowGradients& rows) {
  const at::NoGradGuard no_grad;
  if (rows.gradient.size(0) == 0 || skipped_on_host()) return;
  if (gpu::has_head_sgd(weight_)) {
    const gpu::HeadSgdStep step{static_cast<float>(control_.learning_rate),
                                static_cast<float>(options_.momentum),
                                static_cast<float>(options_.weight_decay), options_.nesterov};
    gpu::head_sgd({weight_, momentum_, first_class_, key_, device_key_}, rows, step, control_);
  } else if (weight_.device().is_cpu()) {
    update_host(rows);
  } else {
    update_device(rows);
  }
}

void HeadSgd::update_host(const RowGradients& rows) {
  refuse_device_rate(control_, "head SGD");
  const RowValues weight = read_rows(weight_, rows);
  const RowValues momentum = read_rows(momentum_, rows);
  const host::SgdStep step{static_cast<float>(control_.learning_rate),
                           static_cast<float>(options_.momentum),
                           static_cast<float>(options_.weight_decay), options_.nesterov};
  const std::int64_t dim = rows.gradient.size(1);
  float* w = weight.values.mutable_data_ptr<float>();
  float* v = momentum.values.mutable_data_ptr<float>();
  const float* g = rows.gradient.const_data_ptr<float>();
  at::parallel_for(0, rows.gradient.size(0), kRowGrain, [&](std::int64_t first, std::int64_t last) {
    host::sgd(w + first * dim, v + first * dim, g + first * dim, (last - first) * dim, step);
  });
  write_rows(weight_, rows, weight, first_class_, data::combine_key(key_, 0));
  write_rows(momentum_, rows, momentum, first_class_, data::combine_key(key_, 1));
}

void HeadSgd::update_device(const RowGradients& rows) {
  refuse_device_rate(control_, "head SGD");
  const RowValues weight = read_rows(weight_, rows);
  const RowValues momentum = read_rows(momentum_, rows);
  at::Tensor gradient = rows.gradient;
  gradient.add_(weight.values, options_.weight_decay);
  const at::Tensor velocity = at::add(gradient, momentum.values, options_.momentum);
  const at::Tensor& direction =
      options_.nesterov ? gradient.add_(velocity, options_.momentum) : velocity;
  const at::Tensor moved = at::sub(weight.values, direction, control_.learning_rate);
  const at::Tensor& do_update = control_.do_update;
  at::Tensor(weight.values)
      .copy_(do_update.defined() ? at::where(do_update != 0, moved, weight.values) : moved);
  at::Tensor(momentum.values)
      .copy_(do_update.defined() ? at::where(do_update != 0, velocity, momentum.values) : velocity);
  write_rows(weight_, rows, weight, first_class_, data::combine_key(key_, 0));
  write_rows(momentum_, rows, momentum, first_class_, data::combine_key(key_, 1));
}

}  // namespace diffprob::model

#include "dist/reducer/gradient_reducer.h"

#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/types.h>

#include <algorithm>
#include <limits>

#include "dist/reducer/gradient_buckets.h"
#include "dist/reducer/gradient_places.h"

namespace diffprob::dist {
namespace {

bool aliases(const at::Tensor& gradient, const at::Tensor& view) {
  return gradient.defined() && gradient.data_ptr() == view.data_ptr() &&
         gradient.strides() == view.strides();
}

/// A number that is the same on two ranks only if their parameters have the same layout (but for
/// bad luck).
std::int64_t layout_fingerprint(const std::vector<at::Tensor>& parameters) {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a over 64-bit words
  const auto add = [&hash](std::int64_t value) {
    hash = (hash ^ static_cast<std::uint64_t>(value)) * 1099511628211ULL;
  };
  for (const auto& parameter : parameters) {
    add(static_cast<std::int64_t>(parameter.scalar_type()));
    for (const auto n : parameter.sizes()) add(n);
    for (const auto n : parameter.strides()) add(n);
    add(-1);
  }
  return static_cast<std::int64_t>(hash >> 1);
}

void check_parameters(const std::vector<at::Tensor>& parameters, Communicator& communicator) {
  TORCH_CHECK(!parameters.empty(), "gradient reducer: no parameters");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& p = parameters[i];
    TORCH_CHECK(p.requires_grad() && p.is_leaf(), "gradient reducer: parameter ", i,
                " is not a leaf that requires a gradient");
    TORCH_CHECK(p.is_non_overlapping_and_dense(), "gradient reducer: parameter ", i,
                " is not dense, strides ", p.strides());
    TORCH_CHECK(p.device() == communicator.device(), "gradient reducer: parameter ", i,
                " lives on ", p.device(), ", expected ", communicator.device());
  }
  const std::int64_t own = layout_fingerprint(parameters);
  const auto both =
      torch::tensor({own, -own}, at::TensorOptions().dtype(at::kLong)).to(communicator.device());
  communicator.all_reduce(both, ReduceOp::kMax)->wait_host();
  const auto extremes = both.cpu();
  TORCH_CHECK(extremes[0].item<std::int64_t>() == -extremes[1].item<std::int64_t>(),
              "gradient reducer: the number, shape, layout or dtype of the parameters differs "
              "between ranks");
}

}  // namespace

std::int64_t most_ranks_adding_in(at::ScalarType communication_dtype, at::Device device) {
  if (device.is_cpu() || communication_dtype == at::kFloat)
    return std::numeric_limits<std::int64_t>::max();
  return communication_dtype == at::kBFloat16 ? 256 : 2048;
}

struct GradientReducer::Impl {
  Impl(std::vector<at::Tensor> model_parameters, Communicator& ranks,
       GradientReducerOptions settings)
      : parameters(std::move(model_parameters)), communicator(ranks), options(settings) {
    const auto sent = options.communication_dtype;
    TORCH_CHECK(sent == at::kFloat || sent == at::kBFloat16 || sent == at::kHalf,
                "gradient reducer: gradients are sent as float32, bfloat16 or float16, not as ",
                sent);
    check_parameters(parameters, communicator);
    std::vector<std::size_t> reverse;
    for (std::size_t i = parameters.size(); i-- > 0;) reverse.push_back(i);
    install(reverse);
    for (std::size_t i = 0; i < parameters.size(); ++i) add_hook(i);
  }
  ~Impl() {
    for (const auto& [node, key] : hooks) node->del_post_hook(key);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void add_hook(std::size_t i) {
    auto node = torch::autograd::impl::grad_accumulator(parameters[i]);
    using Variables = std::vector<torch::autograd::Variable>;
    auto hook = [this, i](const Variables& outputs, const Variables&) {
      on_gradient(i);
      return outputs;
    };
    const auto key = node->add_post_hook(
        std::make_unique<torch::autograd::utils::LambdaPostHook>(std::move(hook)));
    hooks.emplace_back(std::move(node),
                       key);  // the parameter itself holds its accumulator only weakly
  }

  /// New buckets in this order; gradients keep their values.
  void install(const std::vector<std::size_t>& order) {
    const torch::NoGradGuard no_grad;
    layout = make_gradient_buckets(
        parameters, order,
        {options.first_bucket_bytes, options.bucket_bytes, options.last_bucket_bytes});
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      restore_view(i);
      if (options.places != nullptr) options.places->set(parameters[i], layout.views[i]);
    }
    narrow.assign(layout.buckets.size(), at::Tensor());
    restart();
  }

  [[nodiscard]] bool narrows(std::size_t b) const {
    return options.communication_dtype != at::kFloat && communicator.world_size() > 1 &&
           layout.buckets[b].flat.scalar_type() == at::kFloat;
  }
  [[nodiscard]] bool divides() const {
    return options.combine == GradientReducerOptions::Combine::kAverage &&
           communicator.world_size() > 1;
  }

  void restart() {
    works.clear();
    ready.assign(parameters.size(), 0);
    missing.clear();
    for (const auto& bucket : layout.buckets) missing.push_back(bucket.members.size());
    delivered.clear();
  }

  /// Autograd or the caller may have put another tensor in the gradient's place.
  void restore_view(std::size_t i) {
    auto& gradient = parameters[i].mutable_grad();
    const auto& view = layout.views[i];
    if (aliases(gradient, view)) return;
    gradient.defined() ? view.copy_(gradient) : view.zero_();
    gradient = view;
  }

  /// Runs on the thread of the backward, as soon as the gradient of parameter i is whole.
  void on_gradient(std::size_t i) {
    const torch::NoGradGuard no_grad;
    restore_view(i);
    if (!communicate) return;
    TORCH_CHECK(ready[i] == 0,
                "gradient reducer: backward was called twice before finish(); call "
                "set_communicate(false) for every backward but the last");
    ready[i] = 1;
    delivered.push_back(i);
    missing[layout.bucket_of[i]] -= 1;
    while (works.size() < layout.buckets.size() && missing[works.size()] == 0) send_next();
  }

  /// Buckets leave in their order whatever the order they fill in: the same on all ranks.
  void send_next() {
    const std::size_t b = works.size();
    auto& flat = layout.buckets[b].flat;
    if (!narrows(b)) {
      works.push_back(communicator.all_reduce(flat));
      return;
    }
    if (divides()) flat.div_(communicator.world_size());
    if (!narrow[b].defined())
      narrow[b] = at::empty_like(flat, flat.options().dtype(options.communication_dtype));
    narrow[b].copy_(flat);
    works.push_back(communicator.all_reduce(narrow[b]));
  }

  /// The sum or average of bucket b, in its gradients.
  void receive(std::size_t b) {
    works[b]->wait_stream();
    auto& flat = layout.buckets[b].flat;
    if (narrows(b)) {
      flat.copy_(narrow[b]);
    } else if (divides()) {
      flat.div_(communicator.world_size());
    }
  }

  void finish() {
    if (!communicate) return;
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (ready[i] == 0) restore_view(i);
    }
    while (works.size() < layout.buckets.size()) send_next();
    for (std::size_t b = 0; b < works.size(); ++b) receive(b);
    if (options.reorder && !ordered) {
      ordered = true;
      install(agreed_order());
    }
    restart();
  }

  /// Rank 0's order of this backward; parameters that had no gradient come last.
  std::vector<std::size_t> agreed_order() {
    auto order = delivered;
    for (std::size_t i = parameters.size(); i-- > 0;) {
      if (ready[i] == 0) order.push_back(i);
    }
    const std::vector<std::int64_t> numbers(order.begin(), order.end());
    const auto shared =
        torch::tensor(numbers, at::TensorOptions().dtype(at::kLong)).to(communicator.device());
    communicator.broadcast(shared, 0)->wait_host();
    const auto host = shared.cpu();
    std::copy_n(host.const_data_ptr<std::int64_t>(), order.size(), order.begin());
    return order;
  }

  std::vector<at::Tensor> parameters;
  Communicator& communicator;
  GradientReducerOptions options;
  GradientBuckets layout;
  std::vector<at::Tensor> narrow;  // by bucket: what travels, where that is another dtype
  std::vector<std::pair<std::shared_ptr<torch::autograd::Node>, std::uintptr_t>> hooks;
  std::vector<char> ready;           // by parameter, in this backward
  std::vector<std::size_t> missing;  // by bucket: gradients not there yet
  std::vector<std::size_t> delivered;
  std::vector<std::unique_ptr<Work>> works;  // by bucket: those that were sent
  bool ordered = false;                      // buckets follow the true order
  bool communicate = true;
};

GradientReducer::GradientReducer(std::vector<at::Tensor> parameters, Communicator& communicator,
                                 GradientReducerOptions options)
    : impl_(std::make_unique<Impl>(std::move(parameters), communicator, options)) {}
GradientReducer::~GradientReducer() = default;

void GradientReducer::zero_grad() {
  impl_->restart();
  // The first gradient is written or copied over what a bucket still holds, not added to zeros.
  for (const auto& parameter : impl_->parameters) parameter.mutable_grad() = at::Tensor();
  if (impl_->options.places != nullptr) impl_->options.places->release();
}

void GradientReducer::set_communicate(bool communicate) noexcept {
  impl_->communicate = communicate;
}

void GradientReducer::finish() {
  impl_->finish();
}

}  // namespace diffprob::dist

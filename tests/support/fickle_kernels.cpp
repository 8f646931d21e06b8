// A library for LD_PRELOAD that makes LibTorch behave like a processor whose kernels choose their
// order of summation by what they are called with: MKL and oneDNN do so on some machines. Results
// of the operators below are scaled by 1 + epsilon * h, where h in [-1, 1] depends only on what
// DIFFPROB_FICKLE names (a list with commas, all by default):
//   shape      sizes of all inputs
//   threads    the number of threads that the operator may use
//   alignment  addresses of all inputs modulo 64
//   rows       position of a row (dimension 0 of the result) in groups of 4; rows of an incomplete
//              last group differ from the same rows in a whole one
// The epsilons are larger than real effects, so that a test of equal results cannot miss a
// dependence. A program that runs every kernel on fixed blocks of work is not affected.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/record_function.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace {

constexpr double kEpsilonFloat = 1e-6;
constexpr double kEpsilonDouble = 1e-13;
constexpr std::int64_t kRowGroup = 4;
constexpr std::uintptr_t kAlignment = 64;

/// The innermost operators only: conv2d and linear end in these. Overloads (out=) share a name.
const std::unordered_set<std::string_view>& fickle_operators() {
  static const std::unordered_set<std::string_view> names = {
      "aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm", "aten::baddbmm", "aten::addmv",
      "aten::dot", "aten::mkldnn_convolution", "aten::_slow_conv2d_forward",
      "aten::convolution_backward", "mkldnn::_convolution_pointwise",
      "mkldnn::_convolution_pointwise_", "mkldnn::_linear_pointwise", "aten::linalg_vector_norm",
      "aten::sum",
      // Elementwise loops of LibTorch treat the end of an array with other code than its bulk.
      "aten::exp", "aten::exp_", "aten::log", "aten::log1p", "aten::sigmoid", "aten::log_sigmoid",
      "aten::special_entr"};
  return names;
}

/// What the result of an operator depends on.
struct Dependence {
  explicit Dependence(const char* list) {
    const std::string names = list == nullptr ? "shape,threads,alignment,rows" : list;
    shape = names.find("shape") != std::string::npos;
    threads = names.find("threads") != std::string::npos;
    alignment = names.find("alignment") != std::string::npos;
    rows = names.find("rows") != std::string::npos;
  }
  bool shape, threads, alignment, rows;
};

const Dependence& dependence() {
  static const Dependence instance(std::getenv("DIFFPROB_FICKLE"));
  return instance;
}

std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15u + (hash << 6) + (hash >> 2);
  hash *= 0xff51afd7ed558ccdu;
  return hash ^ (hash >> 33);
}

double from_minus_one_to_one(std::uint64_t hash) {
  return static_cast<double>(hash >> 11) * 0x1p-52 - 1;
}

struct CallHash : at::ObserverContext {
  std::uint64_t value = 0;
};

std::uint64_t hash_of_call(const at::RecordFunction& call) {
  std::uint64_t hash = 0;
  // Inside a parallel region kernels are single-threaded, whatever the setting is.
  if (dependence().threads) {
    hash = mixed(hash, at::in_parallel_region() ? 1 : at::get_num_threads());
  }
  for (const c10::IValue& input : call.inputs()) {
    if (!input.isTensor() || !input.toTensor().defined()) continue;
    const at::Tensor& tensor = input.toTensor();
    if (dependence().shape)
      for (const std::int64_t size : tensor.sizes()) hash = mixed(hash, size);
    if (dependence().alignment && tensor.has_storage()) {
      hash = mixed(hash, reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % kAlignment);
    }
  }
  return hash;
}

/// Hashes the inputs, which are valid only before the call. Both callbacks are noexcept: LibTorch
/// would only log an exception, and the library would do nothing without anybody noticing.
std::unique_ptr<at::ObserverContext> before_call(const at::RecordFunction& call) noexcept {
  if (!fickle_operators().contains(call.name())) return nullptr;
  auto context = std::make_unique<CallHash>();
  context->value = hash_of_call(call);
  return context;
}

void scale_rows(const at::Tensor& result, std::uint64_t hash) {
  const std::int64_t rows = result.dim() == 0 ? 1 : result.size(0);
  const double epsilon = result.scalar_type() == at::kDouble ? kEpsilonDouble : kEpsilonFloat;
  std::vector<double> factors;
  for (std::int64_t row = 0; row < rows; ++row) {
    const bool whole_group = row < rows / kRowGroup * kRowGroup;
    std::uint64_t place = 0;
    if (dependence().rows) place = row % kRowGroup + (whole_group ? kRowGroup : 0);
    factors.push_back(1 + epsilon * from_minus_one_to_one(mixed(hash, place)));
  }
  std::vector<std::int64_t> shape(result.dim(), 1);
  if (result.dim() > 0) shape[0] = rows;
  // Neither recorded by our own callback nor seen by autograd.
  const at::DisableRecordFunctionGuard not_recorded;
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  result.mul_(at::tensor(factors, result.options()).view(shape));
}

void after_call(const at::RecordFunction& call, at::ObserverContext* context) noexcept {
  if (context == nullptr) return;
  for (const c10::IValue& output : call.outputs()) {
    if (!output.isTensor() || !output.toTensor().defined()) continue;
    const at::Tensor& result = output.toTensor();
    const bool real = result.scalar_type() == at::kFloat || result.scalar_type() == at::kDouble;
    if (real && result.is_cpu() && result.layout() == at::kStrided && result.numel() > 0) {
      scale_rows(result, static_cast<CallHash*>(context)->value);
    }
  }
}

[[maybe_unused]] const at::CallbackHandle registered =
    at::addGlobalCallback(at::RecordFunctionCallback(before_call, after_call)
                              .needsInputs(true)
                              .needsOutputs(true)
                              .scopes({at::RecordScope::FUNCTION}));

}  // namespace

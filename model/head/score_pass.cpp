#include "model/head/score_pass.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <utility>

#include "model/head/minus_infinity.h"
#include "model/softmax/row_norms.h"

namespace diffprob::model {
namespace {

constexpr std::int64_t kNoClass = std::numeric_limits<std::int32_t>::max();
/// Rows per matrix product. MKL packs the classes of a block again for each product, so there
/// should be few.
constexpr std::int64_t kHostRows = 64;
constexpr std::int64_t kDeviceClasses = 16 << 10;
constexpr int kMostFractionBits = 40;
constexpr std::int32_t kNotANumber = 0x7FC00000;  // above the bits of infinity

/// Bits of a float as an integer of the same order.
std::int64_t ordered(float value) {
  if (std::isnan(value)) return kNotANumber;  // of either sign: x86 makes negative ones
  const auto bits = std::bit_cast<std::int32_t>(value);
  return bits < 0 ? bits ^ std::numeric_limits<std::int32_t>::max() : bits;
}

/// cosine_key() of tensors: cosines [n] float32, classes [n] int64.
at::Tensor keys_of(const at::Tensor& cosines, const at::Tensor& classes) {
  const at::Tensor bits = cosines.contiguous().view(at::kInt);
  const at::Tensor order =
      at::where(bits < 0, bits.bitwise_xor(std::numeric_limits<std::int32_t>::max()), bits)
          .masked_fill_(cosines.isnan(), kNotANumber)
          .to(at::kLong);
  const at::Tensor ids = classes.masked_fill(cosines == kMinusInfinity, kNoClass);
  return order.mul(std::int64_t{1} << 32).add_(kNoClass).sub_(ids);
}

at::Tensor cosines_of_keys(const at::Tensor& keys) {
  const at::Tensor order = keys.bitwise_right_shift(32).to(at::kInt);
  return at::where(order < 0, order.bitwise_xor(std::numeric_limits<std::int32_t>::max()), order)
      .view(at::kFloat);
}

at::Tensor classes_of_keys(const at::Tensor& keys) {
  return at::sub(at::scalar_tensor(kNoClass, keys.options()), keys.bitwise_and(0xFFFFFFFF));
}

/// Largest and next largest of two pairs.
void merge_keys(std::int64_t& first, std::int64_t& second, std::int64_t other_first,
                std::int64_t other_second) {
  second = std::max({std::min(first, other_first), second, other_second});
  first = std::max(first, other_first);
}

}  // namespace

std::int64_t cosine_key(float cosine, std::int64_t class_id) {
  const std::int64_t id = cosine == -std::numeric_limits<float>::infinity() ? kNoClass : class_id;
  return ordered(cosine) * (std::int64_t{1} << 32) + (kNoClass - id);
}

float cosine_of_key(std::int64_t key) {
  const auto order = static_cast<std::int32_t>(key >> 32);
  return std::bit_cast<float>(order < 0 ? order ^ std::numeric_limits<std::int32_t>::max() : order);
}

std::int64_t class_of_key(std::int64_t key) {
  const std::int64_t id = kNoClass - (key & 0xFFFFFFFF);
  return id == kNoClass ? -1 : id;
}

at::Tensor target_keys(const at::Tensor& cosines) {
  return keys_of(cosines, at::zeros(cosines.sizes(), cosines.options().dtype(at::kLong)));
}

int fraction_bits(std::int64_t num_classes) {
  return std::min(kMostFractionBits,
                  62 - static_cast<int>(std::bit_width(static_cast<std::uint64_t>(num_classes))));
}

ScorePass::ScorePass(const at::Tensor& weight, std::int64_t first_class, BlockWorkers* workers,
                     at::Tensor absent)
    : weight_(weight),
      absent_(std::move(absent)),
      first_class_(first_class),
      last_class_(first_class + weight.size(0)),
      workers_(workers),
      block_classes_(host::kBlockClasses),
      first_start_(first_class_ / block_classes_ * block_classes_) {
  if (workers == nullptr) {
    const std::int64_t blocks =
        std::max<std::int64_t>(1, (weight.size(0) + kDeviceClasses - 1) / kDeviceClasses);
    block_classes_ = std::max<std::int64_t>(1, (weight.size(0) + blocks - 1) / blocks);
    first_start_ = first_class_;
  }
  if (weight.size(0) > 0)
    blocks_ = (last_class_ - first_start_ + block_classes_ - 1) / block_classes_;
}

std::int64_t ScorePass::block_rows(at::Device device) {
  return device.is_cpu() ? kHostRows : 1;
}

std::int64_t ScorePass::rows_at_once(std::int64_t num_classes, int world_size,
                                     std::int64_t elements, at::Device device) {
  const std::int64_t classes =
      (num_classes + world_size - 1) / world_size + (device.is_cpu() ? 2 * host::kBlockClasses : 0);
  return std::max<std::int64_t>(1, elements / classes / block_rows(device)) * block_rows(device);
}

void ScorePass::for_each_block(const std::function<void(std::int64_t)>& work) {
  if (workers_ != nullptr) return workers_->run(blocks_, work);
  for (std::int64_t block = 0; block < blocks_; ++block) work(block);
}

at::Tensor ScorePass::make_products(std::int64_t block) {
  const std::int64_t start = std::max(block_start(block), first_class_);
  const std::int64_t count = std::min(block_start(block) + block_classes_, last_class_) - start;
  const auto options = x_.options();
  // Always a copy: what MKL does may depend on where a matrix starts.
  const at::Tensor centres = count == block_classes_
                                 ? at::empty({block_classes_, weight_.size(1)}, options)
                                 : at::zeros({block_classes_, weight_.size(1)}, options);
  centres.narrow(0, start - block_start(block), count)
      .copy_(weight_.narrow(0, start - first_class_, count));
  const at::Tensor products = cosines_.select(0, block);  // [rows, block_classes_]
  const at::Tensor transposed = centres.t();
  for (std::int64_t row = 0; row < x_.size(0); row += rows_of_block()) {
    at::Tensor out = products.narrow(0, row, rows_of_block());
    at::mm_out(out, x_.narrow(0, row, rows_of_block()), transposed);
  }
  at::Tensor inverse_norms = inverse_row_norms(centres);
  if (absent_.defined()) {
    const at::Tensor absent = absent_.narrow(0, start - first_class_, count);
    products.narrow(1, start - block_start(block), count).masked_fill_(absent, -1.0);
    inverse_norms.narrow(0, start - block_start(block), count).masked_fill_(absent, 1.0);
  }
  return inverse_norms;
}

std::int64_t ScorePass::rows_of_block() const {
  return workers_ != nullptr ? kHostRows : std::max<std::int64_t>(1, rows_);
}

at::Tensor ScorePass::maxima(const at::Tensor& x, const at::Tensor& labels, std::int64_t place) {
  rows_ = x.size(0);
  place_ = place;
  const std::int64_t block = rows_of_block();
  const std::int64_t padded = (place_ + rows_ + block - 1) / block * block;
  x_ = at::empty({padded, x.size(1)}, x.options());
  x_.narrow(0, 0, place_).zero_();
  x_.narrow(0, place_, rows_).copy_(x);
  x_.narrow(0, place_ + rows_, padded - place_ - rows_).zero_();
  cosines_ = at::empty({blocks_, padded, block_classes_}, x.options());
  const std::int64_t none = cosine_key(static_cast<float>(kMinusInfinity), 0);
  keys_ = at::full({3, rows_}, none, labels.options());
  if (workers_ == nullptr) {
    for_each_block([&](std::int64_t i) { device_maxima(i, labels); });
  } else {
    extremes_.resize(static_cast<std::size_t>(blocks_ * rows_));
    const at::Tensor own_labels = labels.contiguous();
    for_each_block([&](std::int64_t i) { host_maxima(i, own_labels); });
    auto* first = keys_.mutable_data_ptr<std::int64_t>();
    auto* second = first + rows_;
    auto* target = second + rows_;
    for (std::int64_t i = 0; i < blocks_; ++i) {
      for (std::int64_t row = 0; row < rows_; ++row) {
        const host::RowExtremes& found = extremes_[static_cast<std::size_t>(i * rows_ + row)];
        const std::int64_t first_class = block_start(i) + found.first_column;
        merge_keys(first[row], second[row], cosine_key(found.first, first_class),
                   cosine_key(found.second, kNoClass));
        target[row] = std::max(target[row], cosine_key(found.target, 0));
      }
    }
  }
  return at::stack({keys_.select(0, 0), keys_.select(0, 2)});
}

host::CosineBlock ScorePass::host_block(std::int64_t block) const {
  return {cosines_of(block).mutable_data_ptr<float>(), rows_,
          std::max<std::int64_t>(0, first_class_ - block_start(block)),
          std::min(block_classes_, last_class_ - block_start(block))};
}

void ScorePass::host_maxima(std::int64_t block, const at::Tensor& labels) {
  const at::Tensor inverse_norms = make_products(block);
  std::vector<std::int64_t> columns(static_cast<std::size_t>(rows_));
  for (std::int64_t row = 0; row < rows_; ++row) {
    columns[static_cast<std::size_t>(row)] =
        labels.const_data_ptr<std::int64_t>()[row] - block_start(block);
  }
  host::cosines_of_block(host_block(block), inverse_norms.const_data_ptr<float>(), columns.data(),
                         extremes_.data() + static_cast<std::size_t>(block * rows_));
}

void ScorePass::device_maxima(std::int64_t block, const at::Tensor& labels) {
  const at::Tensor inverse_norms = make_products(block);
  at::Tensor cosines = cosines_of(block);  // [n, block_classes_]
  cosines.mul_(inverse_norms).clamp_(-1.0, 1.0).add_(0.0);
  const at::Tensor classes =
      at::arange(block_start(block), block_start(block) + block_classes_, labels.options());
  const at::Tensor absent = at::logical_or(classes < first_class_, classes >= last_class_);
  cosines.masked_fill_(absent, kMinusInfinity);
  const at::Tensor is_target = classes == labels.unsqueeze(1);
  const at::Tensor target = cosines.masked_fill(at::logical_not(is_target), kMinusInfinity).amax(1);
  cosines.masked_fill_(is_target, kMinusInfinity);
  const auto [first, column] = at::max(cosines, 1);
  const at::Tensor second =
      cosines.masked_fill(classes == column.add(block_start(block)).unsqueeze(1), kMinusInfinity)
          .amax(1);
  const at::Tensor first_key = keys_of(first, column.add(block_start(block)));
  const at::Tensor second_key = keys_of(second, at::full_like(column, kNoClass));
  keys_.select(0, 1).copy_(at::maximum(at::minimum(keys_.select(0, 0), first_key),
                                       at::maximum(keys_.select(0, 1), second_key)));
  keys_.select(0, 0).copy_(at::maximum(keys_.select(0, 0), first_key));
  keys_.select(0, 2).copy_(
      at::maximum(keys_.select(0, 2), keys_of(target, at::zeros_like(column))));
}

at::Tensor ScorePass::second_maxima(const at::Tensor& first) const {
  // Only its value counts: two ranks may see different classes as the second.
  const at::Tensor candidates =
      at::where(keys_.select(0, 0) == first, keys_.select(0, 1), keys_.select(0, 0));
  return candidates.bitwise_right_shift(32).mul_(std::int64_t{1} << 32);
}

at::Tensor ScorePass::sums(const at::Tensor& first, const at::Tensor& second, double scale,
                           int bits) {
  const at::Tensor values = cosines_of_keys(second);
  const at::Tensor references = values.masked_fill(
      values == kMinusInfinity, 0.0);  // [n]: without a second there is nothing to add up
  if (workers_ == nullptr) {
    at::Tensor sums = at::zeros({3, rows_}, first.options());
    for_each_block(
        [&](std::int64_t i) { sums.add_(device_sums(i, first, references, scale, bits)); });
    return sums;
  }
  std::vector<host::FixedSums> sums(static_cast<std::size_t>(rows_));
  std::mutex mutex;
  for_each_block([&](std::int64_t i) {
    std::vector<host::FixedSums> of_block(sums.size());
    host_sums(i, first, references, of_block.data(), scale, bits);
    const std::lock_guard lock(mutex);
    for (std::size_t row = 0; row < sums.size(); ++row) {
      sums[row].e += of_block[row].e;
      sums[row].squares += of_block[row].squares;
      sums[row].entropy += of_block[row].entropy;
    }
  });
  at::Tensor result = at::empty({3, rows_}, first.options());
  auto* out = result.mutable_data_ptr<std::int64_t>();
  for (std::int64_t row = 0; row < rows_; ++row) {
    const host::FixedSums& of_row = sums[static_cast<std::size_t>(row)];
    out[row] = of_row.e;
    out[rows_ + row] = of_row.squares;
    out[2 * rows_ + row] = of_row.entropy;
  }
  return result;
}

void ScorePass::host_sums(std::int64_t block, const at::Tensor& first, const at::Tensor& references,
                          host::FixedSums* sums, double scale, int bits) {
  const host::CosineBlock cosines = host_block(block);
  for (std::int64_t row = 0; row < rows_; ++row) {
    const std::int64_t column =
        class_of_key(first.const_data_ptr<std::int64_t>()[row]) - block_start(block);
    if (column >= 0 && column < block_classes_)
      cosines.values[row * block_classes_ + column] = -std::numeric_limits<float>::infinity();
  }
  host::add_exponentials(cosines, static_cast<float>(scale), references.const_data_ptr<float>(),
                         bits, sums);
}

at::Tensor ScorePass::device_sums(std::int64_t block, const at::Tensor& first,
                                  const at::Tensor& references, double scale, int bits) {
  at::Tensor cosines = cosines_of(block);
  const at::Tensor classes =
      at::arange(block_start(block), block_start(block) + block_classes_, first.options());
  cosines.masked_fill_(classes == classes_of_keys(first).unsqueeze(1), kMinusInfinity);
  const at::Tensor exponents = cosines.sub_(references.unsqueeze(1)).mul_(scale);
  const at::Tensor x = at::where(exponents >= -100.0, exponents,
                                 -100.0);  // what is no number, too: its row is marked already
  const at::Tensor e = at::exp(x).masked_fill_(x < -87.0, 0.0).to(at::kDouble);
  const double units = std::ldexp(1.0, bits);
  const auto total = [&](const at::Tensor& terms) {
    return terms.mul(units).round_().to(at::kLong).sum(1);
  };
  return at::stack({total(e), total(e.square()), total(e.mul(x.neg()))});
}

}  // namespace diffprob::model

#include "model/softmax/class_sampler.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "data/random/keyed_random.h"

namespace diffprob::model {
namespace {

std::int64_t as_signed(std::uint64_t value) {
  return std::bit_cast<std::int64_t>(value);
}

/// z ^ (z >> bits) of unsigned 64-bit words kept in int64, whose own shift copies the sign.
void fold_(at::Tensor& z, int bits) {
  z.bitwise_xor_(
      at::bitwise_right_shift(z, bits).bitwise_and_(as_signed(~std::uint64_t{0} >> bits)));
}

}  // namespace

std::int64_t sampled_count(double rate, const at::Tensor& labels, std::int64_t first_class,
                           std::int64_t local_classes) {
  const auto share =
      static_cast<std::int64_t>(std::ceil(rate * static_cast<double>(local_classes)));
  const std::int64_t wanted = std::min(local_classes, share);
  if (wanted >= std::min(local_classes, labels.size(0))) return wanted;
  const at::Tensor row = labels - first_class;
  const at::Tensor own =
      row.masked_select(at::logical_and(row >= 0, row < local_classes));  // waits for a GPU
  return std::max(wanted, std::get<0>(at::_unique(own)).numel());
}

at::Tensor keyed_hash(const at::Tensor& ids, std::uint64_t key) {
  // The finaliser of data::splitmix64, word by word.
  at::Tensor z = at::add(ids, as_signed(data::splitmix64(key)));
  z.add_(as_signed(0x9E3779B97F4A7C15ull));
  fold_(z, 30);
  z.mul_(as_signed(0xBF58476D1CE4E5B9ull));
  fold_(z, 27);
  z.mul_(as_signed(0x94D049BB133111EBull));
  fold_(z, 31);
  return z.bitwise_and_(std::numeric_limits<std::int64_t>::max());
}

SampledClasses sample_classes(const at::Tensor& labels, std::int64_t first_class,
                              std::int64_t local_classes, std::int64_t count, std::uint64_t key) {
  if (count == 0) return {at::empty({0}, labels.options())};
  const at::Tensor ids = at::arange(first_class, first_class + local_classes + 1, labels.options());
  at::Tensor score = keyed_hash(ids, key);
  // Labels of other shards fall on the element after the last, which no one looks at.
  const at::Tensor row = labels - first_class;
  const at::Tensor elsewhere = at::logical_or(row < 0, row >= local_classes);
  score.index_fill_(0, row.masked_fill(elsewhere, local_classes),
                    std::numeric_limits<std::int64_t>::max());
  const at::Tensor top = std::get<1>(
      at::topk(score.narrow(0, 0, local_classes), count, 0, /*largest=*/true, /*sorted=*/false));
  return {std::get<0>(top.sort())};
}

}  // namespace diffprob::model

#include "model/softmax/keyed_hash.h"

#include <ATen/ATen.h>

#include <bit>
#include <limits>

#include "data/random/splitmix64.h"

namespace diffprob::model {
namespace {

std::int64_t as_signed(std::uint64_t value) {
  return std::bit_cast<std::int64_t>(value);
}

/// z ^ (z >> bits) of unsigned 64-bit words kept in int64, whose own shift copies the sign.
void fold_in_place(at::Tensor& z, int bits) {
  z.bitwise_xor_(
      at::bitwise_right_shift(z, bits).bitwise_and_(as_signed(~std::uint64_t{0} >> bits)));
}

/// data::splitmix64, word by word.
at::Tensor splitmix64_in_place(at::Tensor z) {
  z.add_(as_signed(0x9E3779B97F4A7C15ull));
  fold_in_place(z, 30);
  z.mul_(as_signed(0xBF58476D1CE4E5B9ull));
  fold_in_place(z, 27);
  z.mul_(as_signed(0x94D049BB133111EBull));
  fold_in_place(z, 31);
  return z;
}

}  // namespace

at::Tensor key_on(c10::Device device, std::uint64_t key) {
  return at::full({1}, as_signed(key), at::TensorOptions().dtype(at::kLong).device(device));
}

at::Tensor combine_key(std::uint64_t key, const at::Tensor& value) {
  return splitmix64_in_place(at::add(value, as_signed(data::splitmix64(key))));
}

at::Tensor combine_key(const at::Tensor& key, std::uint64_t value) {
  return splitmix64_in_place(splitmix64_in_place(key.clone()).add_(as_signed(value)));
}

at::Tensor keyed_hash(const at::Tensor& ids, const at::Tensor& key) {
  return splitmix64_in_place(at::add(ids, splitmix64_in_place(key.clone())))
      .bitwise_and_(std::numeric_limits<std::int64_t>::max());
}

}  // namespace diffprob::model

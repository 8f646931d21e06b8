#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace diffprob::model {

// Random numbers of data/random/splitmix64.h, computed by a device. A key is int64 [1] in its
// memory, with the bits of the unsigned one, so that a step that is captured once can be replayed
// under other keys.

[[nodiscard]] at::Tensor key_on(c10::Device device, std::uint64_t key);

/// data::combine_key, of which one number lies on the device.
[[nodiscard]] at::Tensor combine_key(std::uint64_t key, const at::Tensor& value);
[[nodiscard]] at::Tensor combine_key(const at::Tensor& key, std::uint64_t value);

/// Hash of (key, id) for each id: int64 >= 0, of the sizes of `ids`. The same on every device.
[[nodiscard]] at::Tensor keyed_hash(const at::Tensor& ids, const at::Tensor& key);

}  // namespace diffprob::model

#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace diffprob::model {

/// Which classes of a shard take part in a step: those of the batch's labels, and of all others the
/// ones with the largest hash of (key, class id). A pure function of key, labels and shard: the
/// same after a resume, but another set of ranks samples other classes, since every shard takes its
/// own fixed count.
struct SampledClasses {
  at::Tensor rows;  ///< [count] int64, ascending, rows of the shard
};

/// How many: rate * local_classes rounded up, but at least as many as labels could need
/// (batch_rows), at most all. Known to the host.
[[nodiscard]] std::int64_t sampled_count(double rate, std::int64_t local_classes,
                                         std::int64_t batch_rows);

/// labels [B] int64, global ids, of any rank's classes, on the device wanted. No host
/// synchronisation.
[[nodiscard]] SampledClasses sample_classes(const at::Tensor& labels, std::int64_t first_class,
                                            std::int64_t local_classes, std::int64_t count,
                                            std::uint64_t key);

/// [n] int64 >= 0: hash of (key, ids). The same on every device.
[[nodiscard]] at::Tensor keyed_hash(const at::Tensor& ids, std::uint64_t key);

}  // namespace diffprob::model
